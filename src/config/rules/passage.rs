//! The keys `fields`, `template` and `strip_html` of a rule: the text of a document that the model reads.

use engines::passage::{Content, PassageSpec, Template};

use crate::config::reading::section::Section;

pub(super) fn read(section: &Section) -> PassageSpec {
    let fields: Option<Vec<String>> = section.optional("fields");
    let template: Option<String> = section.optional("template");
    let strip_html = section.or("strip_html", false);
    if fields.as_ref().is_some_and(Vec::is_empty) {
        section.error("fields", "names no field; to have the model read what the query searches, leave the key out");
    }
    if fields.is_some() && template.is_some() {
        section.error("template", "give either `fields` or `template`");
    }
    let template =
        template.and_then(|text| Template::parse(&text).map_err(|message| section.error("template", message)).ok());
    let content = match (fields, template) {
        (_, Some(template)) => Content::Template(template),
        (Some(fields), None) => Content::Fields(fields),
        (None, None) => Content::Searched,
    };
    PassageSpec { content, strip_html }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_rule_reads_passages_by_fields_or_by_a_template() {
        let text = minimal() + "template = \"{title}\\n{text}\"\nstrip_html = true\n";
        let template = Template::parse("{title}\n{text}").expect("a template");
        let passage = &read(&text).expect("right").rules[0].passage;
        assert_eq!(*passage, PassageSpec { content: Content::Template(template), strip_html: true });

        let text = minimal() + "fields = \"title\"\ntemplate = \"{title\"\n[[rules]]\nindex = \"*\"\nfields = []\n";
        assert_eq!(
            read(&text).expect_err("wrong"),
            [
                "rerank.toml:8: rules[0].template: give either `fields` or `template`",
                "rerank.toml:8: rules[0].template: the { at character 1 is never closed: write {{ for a brace",
                "rerank.toml:11: rules[1].fields: names no field; to have the model read what the query searches, leave the \
                 key out",
            ]
        );
    }
}
