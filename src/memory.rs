//! The memory budget: how many bytes of requests and answers the process may hold at once, those of all connections
//! together. Owns the account, and that a buffer is in it for as long as anyone has a slice of it; what becomes of a
//! request that finds the budget spent is for whoever asked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// How many times its size a search's body may be put on the account: as it came, and as it is sent. While it is planned,
/// the tree of its JSON comes on top (`json::size_of_tree`).
pub const REQUEST_COPIES: usize = 2;
/// How many times its size an answer of the cluster is put on the account: as it came, the passages, and the answer in
/// the new order. Measured: 2.5 times for 30 MB; the rest is for what the allocator has not given back yet.
pub const ANSWER_COPIES: usize = 4;
/// How many times its size a rerank call's body is put on the account: as it came, the documents' texts, and what waits
/// to be scored of them.
pub const CALL_COPIES: usize = 3;

/// The account of the whole process, in bytes.
#[derive(Debug)]
pub struct Memory {
    limit: AtomicUsize,
    held: AtomicUsize,
}

/// The budget is spent: nothing more may be held for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory budget (limits.memory) is spent")]
pub struct Spent;

/// Bytes that are on the account until this is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// An account of at most `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), held: AtomicUsize::new(0) })
    }

    /// How many bytes are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many may be held.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Has at most `limit` bytes held from now on; where more are, nothing is added until they are fewer.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Puts `bytes` on the account, before they are allocated.
    ///
    /// # Errors
    /// With them, more than the limit would be held.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Spent> {
        let mut held = self.nothing();
        held.grow_to(bytes)?;
        Ok(held)
    }

    /// No bytes yet, which are always to be had.
    pub fn nothing(self: &Arc<Self>) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// How many bytes these are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes these `bytes`, where they are fewer.
    ///
    /// # Errors
    /// More than the limit would be held; these stay as they are.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Spent> {
        let more = bytes.saturating_sub(self.bytes);
        let limit = self.memory.limit();
        // The figure guards no other memory, so that its order among other writes does not matter.
        let added = |held: usize| held.checked_add(more).filter(|&held| held <= limit);
        self.memory.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).map_err(|_| Spent)?;
        self.bytes += more;
        Ok(())
    }

    /// Takes `bytes` of these, or all where they are fewer, for something that ends at another time.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { memory: self.memory.clone(), bytes }
    }

    /// The buffer as bytes for which these stay on the account until the last slice of them is dropped.
    pub fn keep(self, buffer: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        struct Kept<B> {
            buffer: B,
            _held: Held,
        }
        impl<B: AsRef<[u8]>> AsRef<[u8]> for Kept<B> {
            fn as_ref(&self) -> &[u8] {
                self.buffer.as_ref()
            }
        }
        match buffer.as_ref().is_empty() {
            true => Bytes::new(),
            false => Bytes::from_owner(Kept { buffer, _held: self }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A buffer that is being filled, and is put on the account before it grows.
#[derive(Debug)]
pub struct Filling {
    buffer: Vec<u8>,
    held: Held,
    copies: usize,
    most: usize,
}

impl Filling {
    /// The least that is asked of the allocator where nobody knows how much will come.
    const LEAST: usize = 4 * 1024;
    /// The most that is asked for on the word of a sender that it will come.
    const ON_TRUST: usize = 64 * 1024;

    /// An empty buffer for at most `most` bytes, of which each counts `copies` times, for what will be made of it.
    pub fn new(memory: &Arc<Memory>, copies: usize, most: usize) -> Self {
        Self { buffer: Vec::new(), held: memory.nothing(), copies: copies.max(1), most }
    }

    /// What is in it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How many bytes are in it.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Makes room for `more` bytes, of `expected` in all where that is known.
    ///
    /// # Errors
    /// The budget is spent; what is in the buffer stays there.
    pub fn make_room(&mut self, more: usize, expected: Option<usize>) -> Result<(), Spent> {
        let needed = self.buffer.len() + more;
        if needed <= self.buffer.capacity() {
            return Ok(());
        }
        // Growing by factors keeps the copying linear; a known size is what the last step comes to.
        let capacity = match expected {
            Some(expected) => needed.max(4 * self.buffer.capacity()).max(Self::ON_TRUST).min(expected.max(needed)),
            None => needed.max(2 * self.buffer.capacity()).max(Self::LEAST).min(self.most.max(needed)),
        };
        self.held.grow_to(capacity.saturating_mul(self.copies))?;
        self.buffer.reserve_exact(capacity - self.buffer.len());
        Ok(())
    }

    /// The buffer, and what is on the account for what will be made of it.
    pub fn finish(mut self) -> (Bytes, Held) {
        self.buffer.shrink_to_fit();
        let (own, rest) = (self.held.split(self.buffer.len()), self.held.split(self.buffer.len() * (self.copies - 1)));
        (own.keep(self.buffer), rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_the_limit_and_what_is_dropped_is_free_again() {
        let memory = Memory::new(100);
        let mut first = memory.hold(60).unwrap();
        assert_eq!(memory.hold(41).unwrap_err(), Spent);
        let second = memory.hold(40).unwrap();
        assert_eq!((first.grow_to(61), first.bytes(), memory.held()), (Err(Spent), 60, 100));
        drop(second);
        first.grow_to(100).unwrap();
        first.grow_to(1).unwrap();
        assert_eq!((first.bytes(), memory.held()), (100, 100));
        assert_eq!(Memory::new(usize::MAX).hold(usize::MAX).unwrap().grow_to(usize::MAX), Ok(()));
        drop(first);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_buffer_is_on_the_account_as_long_as_any_slice_of_it() {
        let memory = Memory::new(100);
        let mut held = memory.hold(30).unwrap();
        let kept = held.split(10).keep(vec![7; 10]);
        assert_eq!((held.bytes(), memory.held()), (20, 30));
        let slice = kept.slice(3..4);
        drop(kept);
        assert_eq!((memory.held(), &slice[..]), (30, &[7][..]));
        drop(slice);
        assert_eq!(memory.held(), 20);
        assert_eq!(held.keep(Vec::new()), Bytes::new());
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_buffer_is_on_the_account_before_it_grows_and_for_what_will_be_made_of_it() {
        let memory = Memory::new(100_000);
        let mut filling = Filling::new(&memory, 3, 1 << 20);
        for _ in 0..10_000 {
            filling.make_room(1, None).unwrap();
            filling.buffer().push(b'x');
            assert!(memory.held() >= 3 * filling.buffer().capacity());
        }
        assert_eq!(filling.make_room(40_000, None), Err(Spent));
        let (bytes, rest) = filling.finish();
        assert_eq!((bytes.len(), rest.bytes(), memory.held()), (10_000, 20_000, 30_000));
        drop((bytes, rest));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_sender_that_says_much_and_sends_little_holds_little() {
        let memory = Memory::new(1 << 30);
        let mut filling = Filling::new(&memory, 1, 1 << 30);
        filling.make_room(1, Some(32 << 20)).unwrap();
        assert_eq!(memory.held(), Filling::ON_TRUST);
        let mut filling = Filling::new(&memory, 1, 1 << 30);
        filling.make_room(100, Some(300)).unwrap();
        assert_eq!(filling.buffer().capacity(), 300);
        let mut filling = Filling::new(&memory, 1, 10_000);
        filling.make_room(6_000, None).unwrap();
        filling.buffer().resize(6_000, 0);
        filling.make_room(1, None).unwrap();
        assert_eq!(filling.buffer().capacity(), 10_000, "no more than may come");
    }
}
