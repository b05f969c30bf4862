//! What a client says on a connection, how it is answered, and what came of it.

use bytes::Bytes;

/// What a client says, and how it is answered.
#[derive(Debug, Clone)]
pub struct Script {
    pub pieces: Vec<Bytes>,
    pub closes: bool,
    /// The server is told to end before this piece.
    pub shuts_down: Option<usize>,
    pub takes: usize,
    pub answers: Vec<Answer>,
}

/// What a handler does with a request's body.
#[derive(Debug, Clone, Copy)]
pub enum Reads {
    All,
    /// Its first frame.
    Some,
    /// Nothing, and drops it at once.
    Nothing,
    /// Nothing, and holds it until the answer is made.
    Holds,
    /// All, on a task of its own. What comes behind an answer's end reaches it late from hyper, or never.
    Elsewhere,
}

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub reads: Reads,
    /// How many turns of the runtime it takes.
    pub turns: usize,
    pub status: u16,
    pub reason: bool,
    pub version: http::Version,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub enum AnswerBody {
    Empty,
    /// Its length is known.
    Whole(Vec<u8>),
    /// Frames, each after a turn of the runtime where it says so.
    Frames(Vec<(bool, Vec<u8>)>, Ending),
}

/// How the frames of a body end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Complete,
    Trailers,
    Fails,
}

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) got: String,
    pub(super) seen: Vec<String>,
    /// The connection has ended; in order, or not.
    pub(super) ended: Option<bool>,
}
