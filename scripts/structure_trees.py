"""Workspaces made up for `structure.py --self-test`: a sound one, and what breaks it with the finding that must come of it."""

SOUND = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n[workspace.dependencies]\npure = { path = "crates/pure" }\n'
    '[package]\nname = "top"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\npure.workspace = true\n',
    "crates/pure/Cargo.toml": '[package]\nname = "pure"\nversion = "0.1.0"\nedition = "2024"\n'
    '[package.metadata.structure]\nnever = ["top"]\n',
    "crates/pure/src/lib.rs": "pub fn one() {}\n",
    "ARCHITECTURE.md": "```text\ntop → pure\npure → nothing\n```\n",
    "src/lib.rs": "pub mod a; mod b; mod deep; pub use a::One; #[cfg(test)] mod tests;\n",
    "src/a.rs": "//! crate::b::two\n/* crate::b::two /* nested */ */\npub struct One; fn f<'a>(_: &'a str) { pure::one(); }\n"
    "const TEXT: &str = r#\"crate::b::two \" \"#; const C: char = '\"'; #[cfg(test)] mod tests { use crate::b::two; }\n",
    "src/b.rs": "use crate::One; pub fn two(_: One) {}\n",
    "src/deep.rs": "mod inner; pub(crate) use inner::{Inside, Other as Another};\npub struct Outer;\n",
    "src/deep/inner.rs": "use super::Outer; pub struct Inside(Outer); pub struct Other;\n",
    "src/tests.rs": "use super::*;\n",
}

BROKEN = [
    ("none", {}, None),
    ("by use", {"src/a.rs": "use crate::b::two; pub struct One; fn f() { pure::one(); two(One) }\n"}, "circle: 2 files of top"),
    ("by a path", {"src/a.rs": "pub struct One; fn f() { pure::one(); super::b::two(One) }\n"}, "src/a.rs -> src/b.rs: two"),
    ("by a renamed module", {"src/a.rs": "use crate::{b as other}; pub struct One; fn f() { pure::one(); other::two(One) }\n"}, "circle"),
    ("by a glob", {"src/a.rs": "use crate::b::*; pub struct One; fn f() { pure::one(); two(One) }\n"}, "circle"),
    ("by an attribute", {"src/a.rs": 'pub struct One; #[serde(with = "crate::b::two")] struct X; fn f() { pure::one(); }\n'}, "circle"),
    ("by nested braces", {"src/a.rs": "use {std::fmt, crate::{b::{self, two}}}; pub struct One; fn f() { pure::one(); }\n"}, "circle"),
    ("a parent that uses what it re-exports", {"src/deep.rs": SOUND["src/deep.rs"] + "fn f(_: Inside) {}\n"}, "src/deep.rs -> src/deep/inner.rs: Inside"),
    ("a parent that uses its child by path", {"src/deep.rs": SOUND["src/deep.rs"] + "fn f(_: inner::Other) {}\n"}, "circle"),
    ("none, by the name of a crate", {"src/lib.rs": SOUND["src/lib.rs"] + "mod pure; use ::pure::one; pub struct Root;", "src/pure.rs": "use crate::Root; pub fn one() {}"}, None),
    ("by a chain", {"src/a.rs": "pub struct One; fn f(_: crate::deep::Outer) { pure::one(); }\n", "src/deep.rs": SOUND["src/deep.rs"] + "use crate::b::two;\n"}, "circle: 3 files of top"),
    ("a file that no mod names", {"src/c.rs": ""}, "orphan: no `mod` names src/c.rs"),
    ("an arrow that is not drawn", {"ARCHITECTURE.md": "top → nothing\npure → nothing\n"}, "drawing: top depends on pure"),
    ("an arrow that is not there", {"ARCHITECTURE.md": "top → pure\npure → top\n"}, "drawing: ARCHITECTURE.md draws pure → top"),
    ("a file that is named and not there", {"ARCHITECTURE.md": SOUND["ARCHITECTURE.md"] + "`deep.rs`, `deep/inner.rs`, `deep/other.rs`\n"}, "drawing: ARCHITECTURE.md names deep/other.rs"),
    ("a dependency that nothing names", {"src/a.rs": "pub struct One;\n"}, "dependency: top depends on pure"),
    ("a dependency of tests", {"src/a.rs": "pub struct One; #[cfg(test)] mod tests { fn f() { pure::one() } }\n"}, "dependency: only tests of top name pure"),
    ("a forbidden dependency", {"Cargo.toml": SOUND["Cargo.toml"] + '[package.metadata.structure]\nnever = ["pure"]\n'}, "dependency: top may not depend on pure"),
    ("an unused entry of the workspace", {"Cargo.toml": SOUND["Cargo.toml"].replace("[package]", 'other = "1"\n[package]')}, "no crate uses other"),
]  # fmt: skip
