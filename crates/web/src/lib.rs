//! The static pages inside the binary: the API reference at `/docs`, and what the sign-in pages load.
//!
//! Pure: a path in, bytes out. Pages load nothing from elsewhere and hold no inline script or style,
//! so that [`CONTENT_SECURITY_POLICY`] can be strict.

/// The policy to send with every page: only our own files, no frames, no forms.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// A file to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Value of the `content-type` header.
    pub content_type: &'static str,
    pub body: &'static [u8],
    /// Value of the `etag` header, with its quotes; it changes when the body changes.
    pub etag: String,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The page at a path such as `/docs`, without query; `None` when there is none.
pub fn page(path: &str) -> Option<Page> {
    let (content_type, body) = match path {
        "/docs" => (HTML, include_str!("../pages/reference.html")),
        "/docs/reference.css" => (CSS, include_str!("../pages/reference.css")),
        "/ui/sign-in.css" => (CSS, include_str!("../pages/sign-in.css")),
        "/docs/reference.js" => (JAVASCRIPT, include_str!("../pages/reference.js")),
        _ => return None,
    };
    let body = body.as_bytes();
    Some(Page {
        content_type,
        body,
        etag: format!("\"{:016x}\"", hash(body)),
    })
}

/// FNV-1a, 64 bits: tells one build's file from another's, and need not resist anybody.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        std::str::from_utf8(page(path).expect("the page exists").body).expect("pages are UTF-8")
    }

    #[test]
    fn the_reference_and_what_it_loads_are_there() {
        let html = text("/docs");
        for loaded in ["docs/reference.css", "docs/reference.js"] {
            assert!(html.contains(&format!("\"{loaded}\"")), "{loaded}");
            assert!(page(&format!("/{loaded}")).is_some(), "{loaded}");
        }
        assert_eq!(page("/docs").unwrap().content_type, HTML);
    }

    #[test]
    fn other_paths_have_no_page() {
        for path in [
            "",
            "/",
            "/docs/",
            "/docs/reference.html",
            "/docs/../Cargo.toml",
            "docs",
        ] {
            assert_eq!(page(path), None, "{path}");
        }
    }

    #[test]
    fn tags_differ_between_files_and_are_quoted() {
        let tags =
            ["/docs", "/docs/reference.css", "/docs/reference.js"].map(|p| page(p).unwrap().etag);
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
        assert!(
            tags.iter()
                .all(|tag| tag.len() == 18 && tag.starts_with('"') && tag.ends_with('"'))
        );
    }

    #[test]
    fn the_strict_policy_is_kept() {
        let html = text("/docs");
        assert!(
            !html.contains("<style") && !html.contains(" style=") && !html.contains(" onclick")
        );
        assert_eq!(
            html.matches("<script").count(),
            html.matches("<script src=").count()
        );
        let script = text("/docs/reference.js");
        for unsafe_way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!script.contains(unsafe_way), "{unsafe_way}");
        }
        for file in [html, script, text("/docs/reference.css")] {
            assert!(
                !file.contains("http://") && !file.contains("https://"),
                "a foreign address"
            );
        }
    }
}
