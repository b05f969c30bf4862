//! The playground: a page that shows one search before and after reranking. Owns its files, which are part of the program, and
//! the headers that keep what is in a document from becoming a part of the page. What the page shows comes from `/info`,
//! `/explain` and the cluster.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::response::plain;
use crate::{cluster::body::Body, config::digest_of};

/// The path of the page; its other files are below it.
pub(super) const PATH: &str = "/ui";

/// The bytes of a digest that tell one version of a file from another.
const TAG_BYTES: usize = 8;

/// Scripts and styles come from here alone, and nothing is asked of any other server. `trusted-types` and its like make the
/// browser refuse markup that is put together from text, so that no document can become a part of the page by a mistake in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; trusted-types 'none'; require-trusted-types-for 'script'";

/// What a browser is told besides: the referrer holds no query, and no other page gets hold of this one's window.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // A browser asks each time, and is told by the tag that it has the file: a new version of the program shows its own page.
    ("cache-control", "no-cache"),
];

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// The end of its path, behind [`PATH`].
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal as $content_type:expr,)*) => {
        [$(File { name: concat!("/", $name), content_type: $content_type, text: include_str!(concat!("ui/", $name)) }),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page itself.
static PAGE: File = File { name: "", content_type: "text/html; charset=utf-8", text: include_str!("ui/index.html") };

/// What the page loads.
static FILES: [File; 12] = files![
    "style.css" as "text/css; charset=utf-8",
    "icon.svg" as "image/svg+xml",
    "main.js" as SCRIPT,
    "ask.js" as SCRIPT,
    "controls.js" as SCRIPT,
    "details.js" as SCRIPT,
    "dom.js" as SCRIPT,
    "judgements.js" as SCRIPT,
    "keys.js" as SCRIPT,
    "lists.js" as SCRIPT,
    "requests.js" as SCRIPT,
    "state.js" as SCRIPT,
];

/// Their tags, the page's first.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| all().map(|file| tag(file.text)).collect());

fn all() -> impl Iterator<Item = &'static File> {
    std::iter::once(&PAGE).chain(&FILES)
}

fn tag(text: &str) -> HeaderValue {
    let digest: String = digest_of(text).iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{digest}\"")).expect("quotes and hexadecimal digits may be in a header")
}

/// The file at `path`, which begins with a slash and has no prefix of ours.
pub(super) fn file(path: &str) -> Option<&'static File> {
    let name = path.strip_prefix(PATH)?;
    all().find(|file| file.name == name)
}

impl File {
    /// The file, or word that the client has it.
    pub(super) fn answer(&'static self, asked: &HeaderMap) -> Response<Body> {
        let tag = all().position(|file| file == self).and_then(|at| TAGS.get(at));
        let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        let has_it = tag.is_some_and(|tag| tag.to_str().is_ok_and(|tag| known.contains(tag)));
        let (status, text) = if has_it { (StatusCode::NOT_MODIFIED, "") } else { (StatusCode::OK, self.text) };
        let mut response = plain(status, self.content_type, text);
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(tag) = tag {
            headers.insert(header::ETAG, tag.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let script = file("/ui/main.js").unwrap();
        let fresh = script.answer(&HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, fresh.headers()[header::ETAG].clone())]);
        assert_eq!(script.answer(&headers).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(file("/ui/style.css").unwrap().answer(&headers).status(), StatusCode::OK, "another file");
    }

    #[test]
    fn every_file_comes_with_the_headers_that_keep_documents_out_of_the_page() {
        for file in all() {
            let answer = file.answer(&HeaderMap::new());
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{}: {policy}", file.name);
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(answer.headers()[header::REFERRER_POLICY], "no-referrer");
        }
    }

    #[test]
    fn the_page_is_small_and_nothing_in_it_makes_markup_of_text() {
        let scripts: Vec<&File> = FILES.iter().filter(|file| file.content_type == SCRIPT).collect();
        let bytes: usize = scripts.iter().map(|file| file.text.len()).sum();
        assert!(bytes < 60 << 10, "{bytes} bytes of scripts");
        for file in all() {
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", "onclick"]
            {
                assert!(!file.text.contains(word), "{}: {word}", file.name);
            }
            let outside = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{} names a server", file.name);
        }
    }

    #[test]
    fn what_is_no_file_is_not_there() {
        for path in ["/ui/", "/ui/../ui", "/uistyle.css", "/ui/none.js", "/u"] {
            assert_eq!(file(path), None, "{path}");
        }
    }
}
