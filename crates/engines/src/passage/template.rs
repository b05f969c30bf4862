//! Texts in the order and the words that an operator chose: `{title} by {brand}`. Owns the syntax of a template, and what
//! becomes of the words around a field that a document lacks.

/// Characters that join two texts, and are worth nothing where there is only one.
const SEPARATORS: &[char] =
    &['.', ',', ';', ':', '-', '–', '—', '|', '/', '\\', '·', '•', '&', '+', '=', '>', '→', '…'];
/// Characters that belong to the text after them, with no space between.
const OPENING: &[char] = &['(', '[', '{', '<', '«', '„', '“', '‘'];

/// Words with dotted paths in braces; `{{` and `}}` stand for braces.
///
/// A document may lack any of the fields. Then the words around go with them:
///
/// - Each line is read by itself. A line in which no field has text is left out, and so is one without any field, together
///   with the line below it that has one (with the line above, at the end of the template).
/// - Within a line the words *before* a field belong to it: `Brand: {brand}`, ` - {brand}`. So do the characters right
///   *behind* it, up to the first white space, separator or opening bracket (`)`, `%`, `kg`), and all that follows the
///   line's last field.
/// - Where that makes a line begin with a separator, the separator is left out.
///
/// `{title}. {brand}\n{description}` thus reads `Title\nDescription` without a brand, and `Brand\nDescription` without a
/// title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    lines: Vec<Line>,
}

/// A line that names one field or more, and the lines without fields that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Line {
    above: String,
    parts: Vec<Part>,
    below: String,
}

/// A field and the words that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    before: String,
    path: String,
    behind: String,
}

/// A template as it is written.
#[derive(Debug)]
enum Token {
    Words(String),
    Path(String),
}

impl Template {
    /// Reads a template. Fails with what is wrong and at which character, counted from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        let mut above = String::new();
        for tokens in lines_of(tokens(text)?) {
            let (parts, words) = parts_of(tokens);
            if parts.is_empty() {
                above.push_str(&words);
                above.push('\n');
            } else {
                lines.push(Line { above: std::mem::take(&mut above), parts, below: String::new() });
            }
        }
        let Some(last) = lines.last_mut() else {
            return Err("names no field: write at least one as {field}".to_owned());
        };
        if !above.is_empty() {
            last.below = format!("\n{above}");
        }
        Ok(Self { lines })
    }

    /// The dotted paths, as they are written.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flat_map(|line| &line.parts).map(|part| part.path.as_str())
    }

    /// The text with each path replaced by what `text_of` finds there (trimmed, not empty), or `None` where it finds
    /// nothing at all.
    pub(super) fn render(&self, text_of: impl Fn(&str) -> Option<String>) -> Option<String> {
        let lines: Vec<String> = self.lines.iter().filter_map(|line| line.render(&text_of)).collect();
        (!lines.is_empty()).then(|| lines.join("\n").trim().to_owned())
    }
}

impl Line {
    fn render(&self, text_of: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut line = String::new();
        for (place, part) in self.parts.iter().enumerate() {
            let Some(text) = text_of(&part.path) else { continue };
            let before = if line.is_empty() && place > 0 {
                part.before.trim_start_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c))
            } else {
                &part.before
            };
            line.extend([before, &text, &part.behind]);
        }
        (!line.is_empty()).then(|| format!("{}{}{}", self.above, line.trim_end(), self.below))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut words = String::new();
    let mut characters = text.chars().zip(1..).peekable();
    while let Some((character, at)) = characters.next() {
        match character {
            '{' | '}' if characters.next_if(|(next, _)| *next == character).is_some() => words.push(character),
            '}' => return Err(format!("the }} at character {at} closes nothing: write }}}} for a brace")),
            '{' => {
                let mut path = String::new();
                loop {
                    match characters.next() {
                        Some(('}', _)) => break,
                        Some(('{', inner)) => {
                            return Err(format!(
                                "there is a {{ at character {inner}, within the field of character {at}"
                            ));
                        }
                        Some((other, _)) => path.push(other),
                        None => {
                            return Err(format!("the {{ at character {at} is never closed: write {{{{ for a brace"));
                        }
                    }
                }
                let path = path.trim();
                if path.split('.').any(str::is_empty) || path.contains(char::is_whitespace) {
                    return Err(format!("the braces at character {at} hold no field's name: `{path}`"));
                }
                tokens.push(Token::Words(std::mem::take(&mut words)));
                tokens.push(Token::Path(path.to_owned()));
            }
            _ => words.push(character),
        }
    }
    tokens.push(Token::Words(words));
    Ok(tokens)
}

fn lines_of(tokens: Vec<Token>) -> Vec<Vec<Token>> {
    let mut lines = vec![Vec::new()];
    for token in tokens {
        match token {
            Token::Words(words) => {
                for (i, words) in words.split('\n').enumerate() {
                    if i > 0 {
                        lines.push(Vec::new());
                    }
                    lines.last_mut().expect("there is always a line").push(Token::Words(words.to_owned()));
                }
            }
            path @ Token::Path(_) => lines.last_mut().expect("there is always a line").push(path),
        }
    }
    lines
}

/// The fields of a line with their words, and the words of a line that has none.
fn parts_of(tokens: Vec<Token>) -> (Vec<Part>, String) {
    let mut parts: Vec<Part> = Vec::new();
    let mut before = String::new();
    for token in tokens {
        match token {
            Token::Path(path) => {
                parts.push(Part { before: std::mem::take(&mut before), path, behind: String::new() });
            }
            Token::Words(words) => match parts.last_mut() {
                Some(last) => {
                    let glued = words
                        .find(|c: char| c.is_whitespace() || SEPARATORS.contains(&c) || OPENING.contains(&c))
                        .unwrap_or(words.len());
                    words[..glued].clone_into(&mut last.behind);
                    words[glued..].clone_into(&mut before);
                }
                None => before = words,
            },
        }
    }
    if let Some(last) = parts.last_mut() {
        last.behind.push_str(&std::mem::take(&mut before));
    }
    (parts, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template over fields that are called like their text, `missing` aside.
    fn render(template: &str, missing: &[&str]) -> String {
        let template = Template::parse(template).expect("a template");
        template.render(|path| (!missing.contains(&path)).then(|| path.to_uppercase())).unwrap_or_default()
    }

    #[test]
    fn words_go_with_the_field_that_they_belong_to() {
        for (template, missing, text) in [
            ("{title}. {brand}\n{text}", &[][..], "TITLE. BRAND\nTEXT"),
            ("{title}. {brand}\n{text}", &["brand"], "TITLE\nTEXT"),
            ("{title}. {brand}\n{text}", &["title"], "BRAND\nTEXT"),
            ("{title}. {brand}\n{text}", &["text"], "TITLE. BRAND"),
            ("{title}. {brand}\n{text}", &["title", "brand"], "TEXT"),
            ("{title}. {brand}\n{text}", &["brand", "text"], "TITLE"),
            ("{title}. {brand}\n{text}", &["title", "brand", "text"], ""),
            ("Brand: {brand}", &[], "Brand: BRAND"),
            ("Brand: {brand}", &["brand"], ""),
            ("Title: {title}\nBrand: {brand}", &["title"], "Brand: BRAND"),
            ("Title: {title}\nBrand: {brand}", &["brand"], "Title: TITLE"),
            ("Title: {title}, brand: {brand}", &["title"], "brand: BRAND"),
            ("{title} by {brand}", &["brand"], "TITLE"),
            ("{title} ({year})", &["year"], "TITLE"),
            ("{title} ({year})", &["title"], "(YEAR)"),
            ("{title} ({year}), {brand}", &["year"], "TITLE, BRAND"),
            ("{title} ({year}), {brand}", &["brand"], "TITLE (YEAR)"),
            ("{a} - {b} - {c}", &["b"], "A - C"),
            ("{a} - {b} - {c}", &["a"], "B - C"),
            ("{a} | {b} | {c}", &["b", "c"], "A"),
            ("{a}, {b}\n{c}", &["b"], "A\nC"),
            ("{a}/{b}", &["a"], "B"),
            ("{a}/{b}", &["b"], "A"),
            ("{a}% of {b}", &["b"], "A%"),
            ("{a} kg\n{b}", &["a"], "B"),
            ("- {a}\n- {b}", &["b"], "- A"),
            ("{a}\n{b}, {c}", &["b"], "A\nC"),
            ("{a}\n\n{b}", &[], "A\n\nB"),
            ("{a}\n\n{b}", &["a"], "B"),
            ("{a}\n\n{b}", &["b"], "A"),
            ("{a}\n---\n{b}\n", &["b"], "A"),
            ("Offer\n{a} {b}", &["a"], "Offer\nB"),
            ("{a}\n{b}\nEnd", &["a"], "B\nEnd"),
            ("{a}\n{b}\nEnd", &["b"], "A"),
        ] {
            assert_eq!(render(template, missing), text, "{template:?} without {missing:?}");
        }
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(render("{{{a}}} {{x}} { b.c }", &[]), "{A} {x} B.C");
    }

    #[test]
    fn mistakes_are_named_with_their_character() {
        for (template, message) in [
            ("plain", "names no field: write at least one as {field}"),
            ("", "names no field: write at least one as {field}"),
            ("{{a}}", "names no field: write at least one as {field}"),
            ("ä {title", "the { at character 3 is never closed: write {{ for a brace"),
            ("{a} }", "the } at character 5 closes nothing: write }} for a brace"),
            ("{a{b}}", "there is a { at character 3, within the field of character 1"),
            ("{a}{ }", "the braces at character 4 hold no field's name: ``"),
            ("{a..b}", "the braces at character 1 hold no field's name: `a..b`"),
            ("{a b}", "the braces at character 1 hold no field's name: `a b`"),
        ] {
            assert_eq!(Template::parse(template).expect_err(template), message);
        }
    }
}
