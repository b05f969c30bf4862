//! Mark-up, and the text that a reader sees.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn assert_text(cases: &[(&str, &str)]) {
    for (html, text) in cases {
        assert_eq!(strip(html), *text, "{html}");
    }
}

#[test]
fn a_page_reads_as_its_reader_sees_it() {
    let page = "<!DOCTYPE html><html><head><title>Coats</title><style>p > a { color: red }</style></head>\n<body \
                    class=\"a > b\"><h1>Warm   &amp; <em>dry</em></h1><!-- <p>not this</p> --><p>From\n20&nbsp;&euro;, \
                    <b>w</b>ool<br/>in stock</p><script type=\"x\">if (a < b) { document.write('<p>no</p>') }</script>\
                    <ul><li>red<li>blue</ul><table><tr><td>S</td><td>M</td></tr></table></body></html>";
    assert_eq!(strip(page), "Coats\nWarm & dry\nFrom 20 €, wool\nin stock\nred\nblue\nS M");
}

#[test]
fn text_that_is_no_html_stays() {
    assert_text(&[
        ("a < b", "a < b"),
        ("x<5 and y>3", "x<5 and y>3"),
        ("if a <b and c", "if a <b and c"),
        ("if a <b and c <d>", "if a <b and c"),
        ("write to <me@example.com>", "write to <me@example.com>"),
        ("<3 <- << <> </> </ 3>", "<3 <- << <> </> </ 3>"),
        ("AT&T, R&D; fish & chips; &; &#; &#x; &nothing;", "AT&T, R&D; fish & chips; &; &#; &#x; &nothing;"),
        ("the end <", "the end <"),
        ("the end &", "the end &"),
    ]);
}

#[test]
fn broken_html_loses_no_text() {
    assert_text(&[
        ("one <a href=\"x>two</a> three", "one two three"),
        ("one <a title='<b>'>two", "one two"),
        ("one <b two", "one <b two"),
        ("one <!-- two <b>three</b>", "one <!-- two three"),
        ("use the <script> tag <b>twice</b>", "use the tag twice"),
        ("</p>one</script>two</nothing>", "onetwo"),
        ("one<SCRIPT>x</Script >two", "onetwo"),
        ("one<!-->two<!---->three<?xml version='1'?>four", "onetwothreefour"),
        ("<o:p>one</o:p><my-tag>two</my-tag>", "onetwo"),
        ("é<br", "é<br"),
    ]);
}

#[test]
fn character_references_are_decoded_once_and_never_make_a_tag() {
    assert_text(&[
        ("&lt;b&gt; &amp;lt; &quot;&apos;&#39;&#x27;&#X41;", "<b> &lt; \"'''A"),
        ("&Auml;&auml;&NBSP;&EURO;&COPY;", "Ää €©"),
        ("it&#146;s 5&#150;6 &#128;", "it’s 5–6 €"),
        ("Donau&shy;dampf&#173;schiff", "Donaudampfschiff"),
        ("&#0;&#xD800;&#x110000;&#99999999999;", "&#0;&#xD800;&#x110000;&#99999999999;"),
        ("&CounterClockwiseContourIntegral;&ngE;", "∳≧\u{338}"),
        ("é&é;", "é&é;"),
    ]);
}

/// Pieces of which HTML that is hard to read is made.
fn hard_html() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<",
        ">",
        "</",
        "<a ",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "=\"",
        "\"",
        "='",
        "'",
        "&",
        "&amp;",
        "&#",
        ";",
        " ",
        "\n",
        "x",
        "é",
        "<br>",
        "<td>",
        "/",
        "!",
        "?",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_and_trimmed(html in prop_oneof![any::<String>(), hard_html()]) {
        let text = strip(&html);
        prop_assert_eq!(text.trim(), &text);
        prop_assert_eq!(strip(&html), text);
    }

    #[test]
    fn text_without_markup_loses_nothing_but_white_space(text in "[^<&]*") {
        let words: Vec<&str> = text.split_whitespace().collect();
        prop_assert_eq!(strip(&text), words.join(" "));
    }
}

/// Each of these took time in proportion to the square of its length in some stripper or other.
#[test]
fn nested_openings_do_not_take_forever() {
    for unit in [
        "<a ",
        "<a x=\"",
        "<a x='\" ",
        "<a x=\"<a \" ",
        "<a x=\"<a>\" ",
        "<!--",
        "<script>",
        "<!",
        "&",
        "</",
        "<style><",
    ] {
        let html = unit.repeat(200_000 / unit.len());
        assert!(strip(&html).len() <= html.len());
    }
}
