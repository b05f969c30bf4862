//! The parameters that an answer repeats (`responseHeader.params`), as they would read had the client's own request been
//! answered. Owns edits of that object only. Pure.

use crate::json::{self, Edits, Member, Object};

/// A parameter of the request that the answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Its name.
    pub(crate) name: &'static str,
    /// The form in which the client is to see it, where the answer repeats what the client said.
    pub(crate) explicit: Seen,
    /// The same, where the answer repeats what the engine filled in, too.
    pub(crate) all: Seen,
}

/// The form in which the client is to see a repeated parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// As it is there.
    Same,
    /// Not at all: it sent none.
    Nothing,
    /// Without the first values of its list, which are ours.
    Behind(usize),
    /// As this text.
    As(String),
}

/// Edits `params` so that it repeats the client's request.
pub(super) fn restore(text: &[u8], params: &Object, echo: &[Echo], edits: &mut Edits) {
    let named = |name: &str| params.members.iter().find(|member| member.name(text) == name);
    // Said by the client or filled in, it is repeated in either case, but only where everything is.
    let repeats_all = named("echoParams").is_some_and(|said| &text[said.value.clone()] == b"\"all\"");
    let mut kept = vec![true; params.members.len()];
    for Echo { name, explicit, all } in echo {
        let Some(at) = params.members.iter().position(|member| member.name(text) == *name) else { continue };
        kept[at] = restored(text, &params.members[at], if repeats_all { all } else { explicit }, edits);
    }
    let spans: Vec<_> = params.members.iter().map(Member::span).collect();
    edits.retain(text, params.span.clone(), &spans, |member| kept[member]);
}

/// Edits the JSON of a request, as `debug.json` repeats it: its counts, where they were changed in the JSON.
pub(super) fn restore_json(text: &[u8], json: &Object, echo: &[Echo], edits: &mut Edits) {
    for Echo { name, explicit, all } in echo {
        let (Seen::Same, Seen::As(value)) = (explicit, all) else { continue };
        let name = if *name == "rows" { "limit" } else { "offset" };
        let Some(member) = json.members.iter().find(|member| member.name(text) == name) else { continue };
        let is_number = value.parse::<i64>().is_ok();
        let quoted = || serde_json::Value::from(value.as_str()).to_string();
        edits.replace(member.value.clone(), if is_number { value.clone() } else { quoted() });
    }
}

/// Edits one parameter; whether anything is left of it.
fn restored(text: &[u8], member: &Member, seen: &Seen, edits: &mut Edits) -> bool {
    match seen {
        Seen::Same => true,
        Seen::Nothing => false,
        Seen::As(value) => {
            edits.replace(member.value.clone(), serde_json::Value::from(value.as_str()).to_string());
            true
        }
        Seen::Behind(ours) => {
            let values = json::elements(text, member.value.start);
            match values.get(*ours..).unwrap_or_default() {
                [] => return false,
                [only] => edits.replace(member.value.clone(), &text[only.clone()]),
                [first, ..] => edits.remove(values[0].start..first.start),
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_sees(params: &str, echo: &[Echo]) -> String {
        let object = json::object(params.as_bytes(), 0).expect("an object");
        let mut edits = Edits::default();
        restore(params.as_bytes(), &object, echo, &mut edits);
        String::from_utf8(edits.applied(params.as_bytes())).expect("text")
    }

    #[test]
    fn the_client_sees_what_it_sent() {
        let echo = |name, explicit, all| Echo { name, explicit, all };
        let filled = [
            echo("rows", Seen::Nothing, Seen::As("10".to_owned())),
            echo("fl", Seen::Nothing, Seen::Behind(1)),
            echo("start", Seen::Behind(1), Seen::Behind(1)),
        ];
        for (params, expected) in [
            (r#"{"q":"x","rows":"100","fl":["s","a"],"start":["0","20"]}"#, r#"{"q":"x","start":"20"}"#),
            (r#"{"q":"x","rows":"100","fl":"s"}"#, r#"{"q":"x"}"#),
            (
                r#"{"echoParams":"all","rows":"100","fl":["s","a"],"start":["0","1","2"]}"#,
                r#"{"echoParams":"all","rows":"10","fl":"a","start":["1","2"]}"#,
            ),
            (r#"{"echoParams":"all","fl":"s"}"#, r#"{"echoParams":"all"}"#),
            ("{\n  \"fl\":\"s\",\n  \"q\":\"x\"\n}", "{\n  \"q\":\"x\"\n}"),
            ("{}", "{}"),
        ] {
            assert_eq!(client_sees(params, &filled), expected, "{params}");
        }
    }
}
