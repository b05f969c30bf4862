//! The table `diversity` of a rule: how hits that are alike, or have the same value of a field, are kept apart. Owns its keys
//! and their bounds; whether a model of the rule makes vectors is known once the models are open.

use ranking::diversity::Diversity;

use super::field_name;
use crate::config::reading::{
    mistake::{ConfigError, Origin},
    section::Section,
    tree::Value,
};

/// The diversity of a rule's answers.
#[derive(Debug, Clone, PartialEq)]
pub struct DiversityConfig {
    /// What is to be done.
    pub diversity: Diversity,
    /// The field with the values of which there are only so many on a page.
    pub field: Option<String>,
    origin: Origin,
    path: String,
}

impl DiversityConfig {
    /// At most so many hits with one value of a field on a page.
    #[cfg(test)]
    pub(crate) fn of_field(field: &str, at_most: usize) -> Self {
        let diversity = Diversity { lambda: 1.0, duplicates: None, at_most: Some(at_most) };
        Self { diversity, field: Some(field.to_owned()), origin: Origin::Nowhere, path: String::new() }
    }

    /// The mistake of a rule none of whose models makes vectors.
    pub(crate) fn lacks_vectors(&self) -> ConfigError {
        let key = if self.diversity.lambda < 1.0 { "lambda" } else { "duplicates" };
        let message = "needs vectors, and no model of the rule makes any: add a bi-encoder, such as all-MiniLM-L6-v2, to its \
                       `signals`; with weight = 0 it does not count otherwise";
        ConfigError { origin: self.origin.clone(), key: format!("{}.{key}", self.path), message: message.to_owned() }
    }
}

/// Reads the table in a rule, where there is one.
pub(super) fn read(rule: &Section) -> Option<DiversityConfig> {
    let section = rule.optional_table("diversity")?;
    let Value::Table(keys) = &rule.node("diversity")?.value else { return None };
    let lambda = section.optional::<f32>("lambda");
    if lambda.is_some_and(|lambda| !(0.0..=1.0).contains(&lambda)) {
        section.error("lambda", "must be 0 (unlikeness alone) to 1 (the score alone)");
    }
    let duplicates = section.optional::<f32>("duplicates");
    if duplicates.is_some_and(|least| !(least > 0.0 && least <= 1.0)) {
        section.error("duplicates", "must be a cosine above 0, at most 1, such as 0.95");
    }
    let at_most = section.optional::<usize>("at_most");
    if at_most == Some(0) {
        section.error("at_most", "must be 1 or more hits on a page");
    }
    let field = section.node("field").map(|_| field_name::read(&section));
    match (&field, section.has("at_most")) {
        (Some(_), false) => {
            section.error("at_most", "is missing: say how many hits with one value of `field` a page may have")
        }
        (None, true) => section.error("field", "is missing: name the field whose values `at_most` counts"),
        _ => {}
    }
    if keys.is_empty() {
        rule.error("diversity", "says nothing: give `lambda`, `duplicates`, or `field` and `at_most`");
    }
    section.finish();
    Some(DiversityConfig {
        diversity: Diversity { lambda: lambda.unwrap_or(1.0), duplicates, at_most },
        field: field.flatten(),
        origin: rule.origin_of("diversity").clone(),
        path: rule.path_of("diversity"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn diversity(table: &str) -> Result<DiversityConfig, Vec<String>> {
        let rule = read(&format!("{}diversity = {table}\n", minimal()))?.rules.remove(0);
        Ok(rule.diversity.expect("diversity").as_ref().clone())
    }

    #[test]
    fn each_part_stands_on_its_own() {
        let none = Diversity { lambda: 1.0, duplicates: None, at_most: None };
        for (table, expected, field) in [
            ("{ lambda = 0.7 }", Diversity { lambda: 0.7, ..none }, None),
            ("{ duplicates = 0.95 }", Diversity { duplicates: Some(0.95), ..none }, None),
            ("{ field = \"brand\", at_most = 2 }", Diversity { at_most: Some(2), ..none }, Some("brand")),
            (
                "{ lambda = 0, duplicates = 1, field = \"maker.name\", at_most = 1 }",
                Diversity { lambda: 0.0, duplicates: Some(1.0), at_most: Some(1) },
                Some("maker.name"),
            ),
        ] {
            let found = diversity(table).expect(table);
            assert_eq!((found.diversity, found.field.as_deref()), (expected, field));
            assert_eq!(expected.needs_vectors(), table.contains("lambda") || table.contains("duplicates"));
        }
        assert!(read(&minimal()).expect("right").rules[0].diversity.is_none());
    }

    #[test]
    fn what_cannot_be_is_a_mistake() {
        for (table, mistake) in [
            ("{ lambda = 1.5 }", ".lambda: must be 0 (unlikeness alone) to 1 (the score alone)"),
            ("{ lambda = -0.1 }", ".lambda: must be 0 (unlikeness alone) to 1 (the score alone)"),
            ("{ lambda = \"high\" }", ".lambda: must be a number"),
            ("{ duplicates = 0 }", ".duplicates: must be a cosine above 0, at most 1, such as 0.95"),
            ("{ duplicates = 95 }", ".duplicates: must be a cosine above 0, at most 1, such as 0.95"),
            ("{ field = \"brand\" }", ".at_most: is missing: say how many hits"),
            ("{ at_most = 2 }", ".field: is missing: name the field"),
            ("{ field = \"brand\", at_most = 0 }", ".at_most: must be 1 or more hits on a page"),
            ("{ field = \"brand*\", at_most = 2 }", ".field: must name one field; a pattern may stand for many"),
            ("{ lambd = 0.5, duplicates = 0.9 }", ".lambd: unknown key; did you mean `lambda`?"),
            ("{}", ": says nothing: give `lambda`, `duplicates`, or `field` and `at_most`"),
            ("0.7", ": must be a table"),
        ] {
            let errors = diversity(table).expect_err(table);
            assert!(errors[0].starts_with(&format!("rerank.toml:7: rules[0].diversity{mistake}")), "{errors:?}");
        }
    }
}
