//! The part of a panic's message that may be logged. Messages of the standard library quote the text at hand (the end of
//! a slice that is within a character), and texts of queries and documents never go to the log; so quotations are left
//! out, and all that follows.

use std::any::Any;

/// The message of a panic, up to the first quotation.
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    text.split(['`', '\'', '"', ':']).next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn the_text_that_a_panic_quotes_is_not_told() {
        let text = String::from("s3cret é");
        for end in [8, 80] {
            let panic = catch_unwind(|| text[..end].len()).unwrap_err();
            assert!(message(&*panic).contains(&format!("index {end}")), "{}", message(&*panic));
            assert!(!message(&*panic).contains("s3cret"), "{}", message(&*panic));
        }
        let panic = catch_unwind(|| text.parse::<u8>().map_err(|_| &text).unwrap()).unwrap_err();
        assert!(!message(&*panic).contains("s3cret"), "{}", message(&*panic));
        assert_eq!(message(&"on purpose"), "on purpose");
    }
}
