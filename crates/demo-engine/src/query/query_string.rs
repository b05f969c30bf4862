//! `query_string`, `simple_query_string` and `?q=`: a small parser for what people type (words, "phrases", `+` `-`,
//! AND OR NOT, `field:word`, `word^2`, `pre*`, parentheses). Fuzzy terms, ranges and regular expressions are refused
//! by name in `query_string`; `simple_query_string` never fails, as in Elasticsearch.

use std::{iter::Peekable, str::Chars};

use serde_json::Value;
use tantivy::query::{AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, Occur, Query};

use super::{
    exact,
    full_text::{self, Need},
    options::{DEPTH_LIMIT, Options},
    scored::{best_of, boosted},
};
use crate::{error::ApiError, snapshot::Snapshot};

pub(super) fn query_string(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let known = ["query", "fields", "default_field", "default_operator", "lenient", "analyze_wildcard", "type"];
    run(snapshot, &Options::of("query_string", body, &known)?, false)
}

pub(super) fn simple_query_string(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let known = ["query", "fields", "default_operator", "lenient", "flags", "analyze_wildcard"];
    run(snapshot, &Options::of("simple_query_string", body, &known)?, true)
}

/// `?q=` with its `df` and `default_operator`.
pub(crate) fn url_query(
    snapshot: &Snapshot,
    query: &str,
    default_field: Option<&str>,
    default_operator: Option<&str>,
) -> Result<Box<dyn Query>, ApiError> {
    let mut body = serde_json::json!({ "query": query });
    if let Some(field) = default_field {
        body["default_field"] = Value::from(field);
    }
    if let Some(operator) = default_operator {
        body["default_operator"] = Value::from(operator);
    }
    query_string(snapshot, &body)
}

fn run(snapshot: &Snapshot, options: &Options<'_>, simple: bool) -> Result<Box<dyn Query>, ApiError> {
    let text = options.required_text("query")?;
    let fields = match options.text("default_field")? {
        Some(field) if options.get("fields").is_none() => {
            full_text::boosted_fields(snapshot, std::iter::once(field.as_str()))?
        }
        _ => full_text::fields(snapshot, options)?,
    };
    let all_required = options.all_required("default_operator")?;
    let mut parser = Parser { snapshot, characters: text.chars().peekable(), simple, all_required };
    let query = parser.clauses(&fields, 0)?;
    Ok(boosted(query, options.boost()?))
}

/// One parsed operand, before it is known whether it is required.
enum Operand {
    /// Consecutive words without operators between them are one text, as in Lucene's classic parser.
    Words(String),
    Query(Box<dyn Query>),
}

struct Parser<'a> {
    snapshot: &'a Snapshot,
    characters: Peekable<Chars<'a>>,
    simple: bool,
    all_required: bool,
}

impl Parser<'_> {
    /// Reads clauses up to the end or the closing parenthesis.
    fn clauses(&mut self, fields: &[(String, f32)], depth: usize) -> Result<Box<dyn Query>, ApiError> {
        if depth > DEPTH_LIMIT {
            return Err(self.failed("too many nested parentheses"));
        }
        let default = if self.all_required { Occur::Must } else { Occur::Should };
        let mut clauses: Vec<(Occur, Operand)> = Vec::new();
        // The occurrence that an operator before the next operand asks for.
        let mut next: Option<Occur> = None;
        let mut joined = false;
        loop {
            while self.characters.next_if(|c| c.is_whitespace()).is_some() {}
            let Some(&character) = self.characters.peek() else { break };
            match character {
                ')' if depth > 0 => break,
                ')' => {
                    self.characters.next();
                    if !self.simple {
                        return Err(self.failed("unbalanced )"));
                    }
                }
                '+' | '-' | '!' | '|' | '&' => {
                    self.characters.next();
                    match character {
                        '-' | '!' => next = Some(Occur::MustNot),
                        '|' => {
                            self.characters.next_if_eq(&'|');
                            relax(&mut clauses, self.all_required);
                            next = Some(Occur::Should);
                            joined = true;
                        }
                        '&' => {
                            self.characters.next_if_eq(&'&');
                            require(&mut clauses);
                            next = Some(Occur::Must);
                            joined = true;
                        }
                        _ => {
                            if self.simple {
                                require(&mut clauses);
                            }
                            next = Some(Occur::Must);
                        }
                    }
                }
                _ => match self.operand(fields, depth)? {
                    Some(Word::And) => {
                        require(&mut clauses);
                        next = Some(Occur::Must);
                        joined = true;
                    }
                    Some(Word::Or) => {
                        relax(&mut clauses, self.all_required);
                        next = Some(Occur::Should);
                        joined = true;
                    }
                    Some(Word::Not) => next = Some(Occur::MustNot),
                    Some(Word::Operand(operand)) => {
                        let plain = next.is_none() && !joined && !self.simple && !self.all_required;
                        match (clauses.last_mut(), operand) {
                            (Some((Occur::Should, Operand::Words(text))), Operand::Words(more)) if plain => {
                                text.push(' ');
                                text.push_str(&more);
                            }
                            (_, operand) => clauses.push((next.unwrap_or(default), operand)),
                        }
                        next = None;
                        joined = false;
                    }
                    None => {}
                },
            }
        }
        self.combined(clauses, fields)
    }

    /// Reads a word, a phrase or a group, with its field and boost.
    fn operand(&mut self, fields: &[(String, f32)], depth: usize) -> Result<Option<Word>, ApiError> {
        let query = match self.characters.peek() {
            Some('"') => {
                self.characters.next();
                let mut phrase = String::new();
                let closed = loop {
                    match self.characters.next() {
                        Some('"') => break true,
                        Some('\\') => phrase.extend(self.characters.next()),
                        Some(character) => phrase.push(character),
                        None => break false,
                    }
                };
                if !closed && !self.simple {
                    return Err(self.failed("a phrase is not closed by \""));
                }
                let slop = self.number_after('~').unwrap_or(0.0) as u32;
                full_text::over(self.snapshot, fields, &phrase, Need::Phrase { slop }, 0.0)?
            }
            Some('(') => {
                self.characters.next();
                let group = self.clauses(fields, depth + 1)?;
                if self.characters.next_if_eq(&')').is_none() && !self.simple {
                    return Err(self.failed("a group is not closed by )"));
                }
                group
            }
            _ => return self.word(fields, depth),
        };
        let boost = self.number_after('^').unwrap_or(1.0);
        Ok(Some(Word::Operand(Operand::Query(boosted(query, boost)))))
    }

    fn word(&mut self, fields: &[(String, f32)], depth: usize) -> Result<Option<Word>, ApiError> {
        let mut word = String::new();
        while let Some(&character) = self.characters.peek() {
            let ends = character.is_whitespace()
                || matches!(character, '(' | ')' | '"' | '^' | '~' | ':')
                || (self.simple && character == '|');
            if ends && !(self.simple && character == ':') {
                break;
            }
            self.characters.next();
            if character == '\\' {
                word.extend(self.characters.next());
            } else {
                word.push(character);
            }
        }
        if !self.simple && self.characters.next_if_eq(&':').is_some() {
            return self.on_field(&word, depth);
        }
        if self.characters.peek() == Some(&'~') {
            self.number_after('~');
            if !self.simple {
                return Err(self.failed("fuzzy terms (~) are not supported by the demo engine"));
            }
        }
        let boost = self.number_after('^');
        match word.as_str() {
            "" => {
                // A sign that begins nothing, such as a lone ^.
                self.characters.next_if(|c| !matches!(c, '(' | ')' | '"'));
                return Ok(None);
            }
            "AND" if !self.simple => return Ok(Some(Word::And)),
            "OR" if !self.simple => return Ok(Some(Word::Or)),
            "NOT" if !self.simple => return Ok(Some(Word::Not)),
            _ => {}
        }
        let query = if let Some(prefix) = word.strip_suffix('*') {
            let prefix = prefix.to_lowercase();
            let queries = fields
                .iter()
                .map(|(field, boost)| boosted(exact::with_prefix(self.snapshot, field, &prefix, true), *boost));
            if prefix.is_empty() { all() } else { best_of(queries.collect(), 0.0) }
        } else if !self.simple && word.starts_with(['[', '{', '/']) {
            return Err(self.failed("ranges and regular expressions are not supported by the demo engine"));
        } else if !self.simple && word.contains(['*', '?']) {
            return Err(self.failed("of wildcards, the demo engine supports only a * at the end of a word"));
        } else if let Some(boost) = boost {
            boosted(full_text::over(self.snapshot, fields, &word, Need::Any, 0.0)?, boost)
        } else {
            return Ok(Some(Word::Operand(Operand::Words(word))));
        };
        Ok(Some(Word::Operand(Operand::Query(boosted(query, boost.unwrap_or(1.0))))))
    }

    /// The clause after `field:`.
    fn on_field(&mut self, field: &str, depth: usize) -> Result<Option<Word>, ApiError> {
        if depth > DEPTH_LIMIT {
            return Err(self.failed("too many fields, one inside the other"));
        }
        while self.characters.next_if(|c| c.is_whitespace()).is_some() {}
        if field == "*" && self.characters.next_if_eq(&'*').is_some() {
            return Ok(Some(Word::Operand(Operand::Query(all()))));
        }
        let fields = full_text::boosted_fields(self.snapshot, std::iter::once(field))?;
        let operand = match self.operand(&fields, depth + 1)? {
            Some(Word::Operand(Operand::Words(text))) => {
                Operand::Query(full_text::over(self.snapshot, &fields, &text, Need::Any, 0.0)?)
            }
            Some(Word::Operand(operand)) => operand,
            _ => return Err(self.failed(&format!("nothing to search after {field}:"))),
        };
        Ok(Some(Word::Operand(operand)))
    }

    /// The number after `sign`, if `sign` comes next; 1 when there is none.
    fn number_after(&mut self, sign: char) -> Option<f32> {
        self.characters.next_if_eq(&sign)?;
        let mut number = String::new();
        while let Some(digit) = self.characters.next_if(|c| c.is_ascii_digit() || *c == '.') {
            number.push(digit);
        }
        Some(number.parse().unwrap_or(1.0))
    }

    fn combined(&self, clauses: Vec<(Occur, Operand)>, fields: &[(String, f32)]) -> Result<Box<dyn Query>, ApiError> {
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (occur, operand) in clauses {
            let query = match operand {
                Operand::Words(text) => full_text::over(self.snapshot, fields, &text, Need::Any, 0.0)?,
                Operand::Query(query) => query,
            };
            parts.push((occur, query));
        }
        if parts.is_empty() {
            return Ok(Box::new(EmptyQuery));
        }
        if parts.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            parts.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0))));
        }
        Ok(Box::new(BooleanQuery::new(parts)))
    }

    fn failed(&self, why: &str) -> ApiError {
        let clause = if self.simple { "simple_query_string" } else { "query_string" };
        ApiError::query(format!("Failed to parse query: [{clause}] {why}"))
    }
}

/// The kinds of words.
enum Word {
    And,
    Or,
    Not,
    Operand(Operand),
}

/// AND: the operand before it becomes required, too.
fn require(clauses: &mut [(Occur, Operand)]) {
    if let Some((occur @ Occur::Should, _)) = clauses.last_mut() {
        *occur = Occur::Must;
    }
}

/// OR under a default of AND: the operand before it becomes optional.
fn relax(clauses: &mut [(Occur, Operand)], all_required: bool) {
    if all_required && let Some((occur @ Occur::Must, _)) = clauses.last_mut() {
        *occur = Occur::Should;
    }
}

fn all() -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(AllQuery), 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{analysis, mapping::Mapping, store::Index};

    #[test]
    fn a_chain_of_fields_ends_in_an_error_and_not_in_an_overflow() {
        let snapshot = Snapshot::build("t", &Mapping::default(), Vec::new()).unwrap();
        assert!(query_string(&snapshot, &json!({"query": "a:".repeat(100_000)})).is_err());
        assert!(query_string(&snapshot, &json!({"query": "(".repeat(100_000)})).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_people_type_is_answered(text in "([ab*?()\"+|&:^~!\\\\-]|[ ]|AND|OR|NOT|a:|ä){0,24}") {
            let index = Index::create("t", None).unwrap();
            let raw = serde_json::value::to_raw_value(&json!({"a": "a b ab"})).unwrap();
            index.put(None, &raw, false).unwrap();
            let snapshot = index.snapshot().unwrap();
            let simple = simple_query_string(&snapshot, &json!({"query": text, "fields": ["a"]})).unwrap();
            snapshot.matches(simple.as_ref()).unwrap();
            if let Ok(query) = query_string(&snapshot, &json!({"query": text})) {
                snapshot.matches(query.as_ref()).unwrap();
            }
            prop_assert!(analysis::tokens(&text).len() <= text.len());
        }
    }
}
