//! Forms: what is read of them, what becomes of them on the way, and what is refused.

use base::{Code, Error};
use bytes::Bytes;
use llm::Format;
use llm::request::{Peek, read, rewrite};
use proptest::prelude::*;

const TYPE: &str = "multipart/form-data; boundary=XyZ";

fn field(name: &str, value: &str) -> String {
    format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(content: &str) -> String {
    format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".mp3\"\r\n\
         Content-Type: audio/mpeg\r\n\r\n{content}\r\n"
    )
}

fn form(parts: &[String]) -> Bytes {
    (parts.concat() + "--XyZ--\r\n").into()
}

fn peek(body: &Bytes) -> Result<Peek<'_>, Error> {
    read(Format::Transcription, Some(TYPE), body, None)
}

fn sent(body: &Bytes, path_model: Option<&str>, model: &str) -> String {
    let peek = read(Format::Transcription, Some(TYPE), body, path_model).expect("a form");
    let whole = rewrite(body, &peek, model, false).concat();
    String::from_utf8(whole).expect("text")
}

#[test]
fn what_the_gateway_decides_by_is_read() {
    let body = form(&[
        field("model", "whisper"),
        file("ID3 \r\n-- not a boundary"),
        field("stream", "True"),
        field("user", "somebody"),
        field("n", "3"),
        field("tags[]", "a"),
        field("tags[]", "b"),
        field("metadata[tags][]", "c"),
        field("litellm_metadata", r#"{"tags": ["d"], "x": 1}"#),
    ]);
    let peek = peek(&body).expect("a form");
    assert!(peek.is_form());
    assert_eq!(
        (&*peek.model, peek.stream, peek.choices),
        ("whisper", true, 3)
    );
    assert_eq!(peek.end_user.as_deref(), Some("somebody"));
    assert_eq!(peek.tags, ["a", "b", "c", "d"]);
    assert_eq!(peek.measure.images, 3);
    // the name, the flags and the tags, but no byte of the file
    assert_eq!(peek.measure.text, 46);
}

#[test]
fn only_the_model_changes_and_what_is_for_the_gateway_goes() {
    let gateway = [field("tags", "x"), field("litellm_metadata", "{}")].concat();
    let parts = |model: &str, between: &str| {
        form(&[
            file("\0\u{fffd}"),
            field("model", model),
            between.to_owned(),
            field("prompt", "p"),
        ])
    };
    let body = parts("public", &gateway);
    let expected = parts("whisper-1", "");
    assert_eq!(sent(&body, None, "whisper-1").as_bytes(), &expected[..]);
    let untouched = parts("whisper-1", "");
    let peek = peek(&untouched).expect("a form");
    let segments = rewrite(&untouched, &peek, "whisper-1", false);
    assert_eq!(segments, std::slice::from_ref(&untouched));
    // a file is a piece of the client's bytes, not a copy of it
    assert_eq!(segments[0].as_ptr(), untouched.as_ptr());
}

#[test]
fn the_model_of_the_path_is_put_in() {
    let bare = form(&[field("prompt", "p")]);
    let expected = form(&[
        "--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n".to_owned(),
        field("prompt", "p"),
    ]);
    assert_eq!(
        sent(&bare, Some("public"), "whisper-1").as_bytes(),
        &expected[..]
    );
    let empty = form(&[field("model", ""), field("prompt", "p")]);
    assert_eq!(
        sent(&empty, Some("public"), "whisper-1").as_bytes(),
        &expected[..]
    );
    // what the form names was not checked, so it never goes on
    let other = form(&[field("model", "expensive"), field("prompt", "p")]);
    let expected = form(&[field("model", "public"), field("prompt", "p")]);
    assert_eq!(
        sent(&other, Some("public"), "public").as_bytes(),
        &expected[..]
    );
}

#[test]
fn json_under_a_path_that_names_the_model_is_replaced_too() {
    let body = Bytes::from(r#"{"model":"expensive","messages":[]}"#);
    let mut peek = llm::request::peek(Format::OpenAiChat, &body).expect("a request");
    peek.model = "public".into();
    let sent = rewrite(&body, &peek, "public", false).concat();
    assert_eq!(sent, br#"{"model":"public","messages":[]}"#);
}

#[test]
fn boundaries_are_named_in_many_ways() {
    let body = form(&[field("model", "m")]);
    for good in [
        "multipart/form-data; boundary=XyZ",
        "Multipart/Form-Data;BOUNDARY=\"XyZ\"",
        "multipart/form-data; charset=utf-8; boundary=XyZ;",
    ] {
        let peek = read(Format::Translation, Some(good), &body, None);
        assert_eq!(peek.expect(good).model, "m", "{good}");
    }
    for bad in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"XyZ",
        "multipart/form-data; boundary=XyZ; boundary=abc",
        "multipart/form-data; boundary=X{Z",
        "multipart/form-data; boundary=other",
        "multipart/mixed; boundary=XyZ",
    ] {
        let error = read(Format::Translation, Some(bad), &body, None).expect_err(bad);
        assert_eq!(
            (error.code(), error.parameter()),
            (Code::InvalidRequest, Some("request_body"))
        );
    }
    let error = read(Format::OpenAiChat, Some(TYPE), &body, None).expect_err("a form");
    assert!(
        error.message().contains("takes JSON"),
        "{}",
        error.message()
    );
}

#[test]
fn json_goes_where_forms_go() {
    let body = br#"{"model":"m","images":[],"n":2}"#;
    let peek = read(Format::ImageEdit, Some("application/json"), body, None).expect("JSON");
    assert_eq!(
        (&*peek.model, peek.is_form(), peek.measure.images),
        ("m", false, 2)
    );
}

#[test]
fn what_is_no_form_is_refused() {
    let model = field("model", "m");
    let refused = |body: String| {
        let body = Bytes::from(body);
        match peek(&body) {
            Ok(peek) => panic!("{peek:?}"),
            Err(error) => {
                assert_eq!(error.status(), 400);
                error.parameter().unwrap_or_default().to_owned()
            }
        }
    };
    let end = "--XyZ--\r\n";
    let head = |disposition: &str| format!("--XyZ\r\n{disposition}\r\n\r\nx\r\n{model}{end}");
    for body in [
        String::new(),
        "{}".to_owned(),
        end.to_owned() + "more",
        model.clone(),
        format!("{model}--XyZ"),
        format!("{model}--Xy"),
        format!("text\r\n{model}{end}"),
        format!("{model}{end}--XyZ\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n2\r\n"),
        format!("{model}--XyZ9\r\n\r\n{end}"),
        format!("{model}--XyZ\n{end}"),
        // a parser that takes bare line feeds sees a second model in this file
        format!(
            "{}{}{end}",
            model,
            file("\n--XyZ\nContent-Disposition: form-data; name=\"model\"\n\nother")
        ),
        head("Content-Type: text/plain"),
        head("Content-Disposition: attachment; name=\"x\""),
        head("Content-Disposition: form-data"),
        head("Content-Disposition: form-data; filename=\"x\""),
        head("Content-Disposition: form-data; name=\"x\"; name=\"model\""),
        head("Content-Disposition: form-data; name=\"x\"; name*=utf-8''model"),
        head("Content-Disposition: form-data; name=\"mo%64el\""),
        head("Content-Disposition: form-data; name=\"mod\\el\""),
        head("Content-Disposition: form-data; name=\"x\"; filename=\"\\\"; name=model; y=\\\"\""),
        head("Content-Disposition: form-data; name=\"x\"\"y\""),
        head("Content-Disposition: form-data;\r\n name=\"x\""),
        head(
            "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"",
        ),
        head("no head at all"),
        "--XyZ\r\n\r\nx\r\n--XyZ--\r\n".to_owned(),
        "--XyZ\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--XyZ--".to_owned(),
    ] {
        assert_eq!(refused(body.clone()), "request_body", "{body}");
    }
    for (parts, parameter) in [
        (vec![field("prompt", "p")], "model"),
        (vec![field("model", "")], "model"),
        (vec![model.clone(), model.clone()], "model"),
        (vec![field("model", "a\nb")], "model"),
        (vec![file("x").replace("\"file\"", "\"model\"")], "model"),
        (
            vec![model.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n")],
            "model",
        ),
        (vec![model.clone(), field("stream", "perhaps")], "stream"),
        (vec![model.clone(), field("n", "-1")], "n"),
        (
            vec![model.clone(), field("api_base", "http://here")],
            "api_base",
        ),
        (vec![model.clone(), field("api_key[]", "sk-1")], "api_key"),
    ] {
        let body = parts.concat() + end;
        assert_eq!(refused(body.clone()), parameter, "{body}");
    }
}

#[test]
fn sound_is_measured() {
    let body = form(&[field("model", "m"), file(&"x".repeat(80_000))]);
    assert_eq!(peek(&body).expect("a form").measure.milliseconds, 10_000);
}

fn value() -> impl Strategy<Value = String> {
    "[ -~]{0,12}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_break_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        kind in "[ -~]{0,40}",
        at in 0_usize..400,
    ) {
        let whole = form(&[field("model", "m"), file("data"), field("tags", "t")]);
        let mut mutated = whole.to_vec();
        let at = at.min(mutated.len());
        mutated.splice(at..at, bytes.iter().copied().take(3));
        for body in [Bytes::from(bytes), whole.slice(..at), whole.slice(at..), mutated.into()] {
            for kind in [TYPE, &format!("multipart/form-data;{kind}")] {
                if let Ok(peek) = read(Format::ImageEdit, Some(kind), &body, Some("p")) {
                    rewrite(&body, &peek, "upstream", false);
                }
            }
        }
    }

    #[test]
    fn the_rest_stays_as_it_is(
        fields in proptest::collection::vec(("[a-z_]{1,8}x", value()), 0..6),
        content in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..6,
    ) {
        let mut before: Vec<u8> = Vec::new();
        let mut after: Vec<u8> = file("").trim_end_matches("\r\n").as_bytes().to_vec();
        after.extend(b"\r\n\r\n");
        after.extend(&content);
        after.extend(b"\r\n");
        for (index, (name, text)) in fields.iter().enumerate() {
            let side = if index < at { &mut before } else { &mut after };
            side.extend(field(name, text).into_bytes());
        }
        after.extend(b"--XyZ--\r\n");
        let with = |model: &str| -> Bytes {
            [&before[..], field("model", model).as_bytes(), &after].concat().into()
        };
        let body = with("public");
        let peek = peek(&body).expect("a form");
        prop_assert_eq!(&*peek.model, "public");
        prop_assert_eq!(rewrite(&body, &peek, "upstream", false).concat(), with("upstream"));
    }
}
