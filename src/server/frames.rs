//! Where one frame of HTTP/2 ends and the next begins (RFC 9113, section 4.1), in what a client sends. Owns just enough of it
//! to say whether a request's head is still incomplete; what frames mean is hyper's business.

/// Length (3 bytes), type, flags, stream (4 bytes).
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// The client's side of a connection, from after its preface.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has come of the next frame's head.
    head: [u8; FRAME_HEAD],
    have: usize,
    /// How much of the frame's content is still to come.
    left: usize,
    /// Whether the frame at hand is a part of a request's head.
    is_request_head: bool,
    /// Whether more frames of a request's head must follow it.
    to_be_continued: bool,
}

impl Frames {
    /// Reads on. Whether there was a point in these bytes at which no head was open: one that is open now began after it.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut was_between = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (FRAME_HEAD - self.have).min(bytes.len());
                self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
                self.have += taken;
                bytes = &bytes[taken..];
                if self.have < FRAME_HEAD {
                    break;
                }
                self.begin_frame();
            }
            was_between |= !self.is_in_head();
        }
        was_between
    }

    fn begin_frame(&mut self) {
        let [length_1, length_2, length_3, kind, flags, ..] = self.head;
        self.have = 0;
        self.left = usize::from(length_1) << 16 | usize::from(length_2) << 8 | usize::from(length_3);
        self.is_request_head = matches!(kind, HEADERS | CONTINUATION);
        if self.is_request_head {
            self.to_be_continued = flags & END_HEADERS == 0;
        }
    }

    /// Whether a request's head, or the head of a frame, has begun and is not all there.
    pub(super) fn is_in_head(&self) -> bool {
        self.have > 0 || self.to_be_continued || (self.is_request_head && self.left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], content].concat()
    }

    /// After each byte, whether the head of a request or of a frame is open.
    fn open_after_each(bytes: &[u8]) -> String {
        let mut frames = Frames::default();
        let told = bytes.iter().map(|byte| {
            frames.read(&[*byte]);
            if frames.is_in_head() { 'x' } else { '.' }
        });
        told.collect()
    }

    #[test]
    fn a_request_s_head_is_open_until_its_last_byte() {
        assert_eq!(open_after_each(&frame(HEADERS, END_HEADERS, b"abc")), "xxxxxxxxxxx.");
        let continued = [frame(HEADERS, 0, b"a"), frame(CONTINUATION, 0, b""), frame(CONTINUATION, END_HEADERS, b"b")];
        assert_eq!(open_after_each(&continued.concat()), "x".repeat(28) + ".");
    }

    #[test]
    fn other_frames_are_no_heads() {
        assert_eq!(open_after_each(&SETTINGS), "xxxxxxxx.");
        // A body may take its time.
        assert_eq!(open_after_each(&frame(0, 0, b"abcd")), "xxxxxxxx.....");
    }

    #[test]
    fn the_end_of_a_head_shows_also_where_the_next_one_has_begun() {
        let mut frames = Frames::default();
        assert!(!frames.read(&frame(HEADERS, 0, b"a")));
        assert!(frames.read(&[frame(CONTINUATION, END_HEADERS, b"b"), frame(HEADERS, 0, b"c")].concat()));
        assert!(frames.is_in_head());
        assert!(!frames.read(&frame(CONTINUATION, 0, b"d")));
    }

    #[test]
    fn it_is_the_same_however_the_bytes_are_cut() {
        let bytes =
            [SETTINGS.to_vec(), frame(HEADERS, END_HEADERS, b"abc"), frame(0, 1, b"body"), frame(HEADERS, 0, b"")];
        let bytes = bytes.concat();
        for cut in 0..bytes.len() {
            let mut frames = Frames::default();
            frames.read(&bytes[..cut]);
            frames.read(&bytes[cut..]);
            assert!(frames.is_in_head() && frames.left == 0, "{cut}");
        }
    }
}
