use qwen_shared::net::oauth::{Answer, OauthError};
use serde_json::{Value, json};

use super::DeviceAuthorization;

fn parse(body: &Value) -> Result<DeviceAuthorization, OauthError> {
    DeviceAuthorization::parse(&Answer {
        status: 200,
        content_type: None,
        retry_after: None,
        date: None,
        body: body.to_string().into_bytes(),
    })
}

fn sound() -> Value {
    json!({"device_code": "canary-dc", "user_code": "WDJB-MJHT", "verification_uri": "https://e.example/device",
           "verification_uri_complete": "https://e.example/device?user_code=WDJB-MJHT", "expires_in": 1800,
           "interval": 7})
}

fn with(name: &str, value: Value) -> Value {
    let mut body = sound();
    body[name] = value;
    body
}

#[test]
fn a_sound_answer_is_taken_as_it_is() {
    let device = parse(&sound()).unwrap();
    assert_eq!(device.user_code, "WDJB-MJHT");
    assert_eq!(device.verification_uri.as_str(), "https://e.example/device");
    assert_eq!(
        (device.expires_in.as_secs(), device.interval.as_secs()),
        (1800, 7)
    );
    assert!(!format!("{device:?}").contains("canary"));
}

#[test]
fn required_members_must_be_there_and_of_their_type() {
    for name in ["device_code", "user_code", "verification_uri", "expires_in"] {
        let mut missing = sound();
        missing.as_object_mut().unwrap().shift_remove(name);
        for body in [
            missing,
            with(name, Value::Null),
            with(name, json!({})),
            with(name, json!("")),
        ] {
            let error = parse(&body).unwrap_err();
            assert!(
                matches!(&error, OauthError::Malformed(reason) if reason.contains(name)),
                "{error} for {body}"
            );
        }
    }
    for (name, value) in [
        ("device_code", json!(5)),
        ("user_code", json!(12345)),
        ("verification_uri", json!(true)),
    ] {
        assert!(parse(&with(name, value)).is_err());
    }
}

#[test]
fn the_drafts_name_of_the_address_is_read_too() {
    let mut body = with("verification_uri", Value::Null);
    body["verification_url"] = json!("https://g.example/device");
    assert_eq!(
        parse(&body).unwrap().verification_uri.as_str(),
        "https://g.example/device"
    );
}

#[test]
fn lifetimes_are_read_from_numbers_and_bounded() {
    for (given, understood) in [
        (json!(60), Some(60)),
        (json!("60"), Some(60)),
        (json!(60.5), Some(60)),
        (json!(1e99), Some(86_400)),
        (json!(0), None),
        (json!(-5), None),
        (json!("soon"), None),
        (json!([]), None),
    ] {
        let life = parse(&with("expires_in", given.clone()))
            .ok()
            .map(|device| device.expires_in.as_secs());
        assert_eq!(life, understood, "{given}");
    }
}

#[test]
fn intervals_are_five_seconds_by_default_and_clamped() {
    for (given, understood) in [
        (json!(null), 5.0),
        (json!("x"), 5.0),
        (json!([]), 5.0),
        (json!("3"), 3.0),
        (json!(2.5), 2.5),
        (json!(0), 1.0),
        (json!(-9), 1.0),
        (json!(0.01), 1.0),
        (json!(120), 120.0),
        (json!(86_400), 300.0),
        (json!(1e300), 300.0),
    ] {
        let interval = parse(&with("interval", given.clone()))
            .unwrap()
            .interval
            .as_secs_f64();
        assert!((interval - understood).abs() < 1e-9, "{given} gives {interval}");
    }
    let mut body = sound();
    body.as_object_mut().unwrap().shift_remove("interval");
    assert_eq!(parse(&body).unwrap().interval.as_secs(), 5);
}

#[test]
fn codes_that_cannot_be_shown_as_given_are_refused() {
    for code in [
        "\u{1b}[31mA",
        "A\rB",
        "A\u{202e}B",
        "A\u{200b}B",
        "\u{7}",
        "A\u{9b}1m",
        "   ",
        &"x".repeat(65),
    ] {
        assert!(parse(&with("user_code", json!(code))).is_err(), "{code:?}");
    }
    for code in ["abc def", "ÄÖ-12", "0", "--help"] {
        assert_eq!(parse(&with("user_code", json!(code))).unwrap().user_code, code);
    }
}

#[test]
fn a_hostile_address_is_refused_and_a_hostile_complete_one_left_out() {
    for hostile in [
        "file:///etc/passwd",
        "javascript:x",
        "-x",
        "http://e.example/",
        "https://e.example/\u{1b}[0m",
    ] {
        assert!(
            parse(&with("verification_uri", json!(hostile))).is_err(),
            "{hostile:?}"
        );
        let device = parse(&with("verification_uri_complete", json!(hostile))).unwrap();
        assert!(device.verification_uri_complete.is_none(), "{hostile:?}");
    }
}

#[test]
fn a_complete_address_is_on_the_host_that_the_person_is_told_to_look_for() {
    for (complete, kept) in [
        ("https://e.example/x?user_code=WDJB-MJHT", true),
        ("https://E.EXAMPLE:443/x", true),
        ("https://e.example:8443/x", false),
        ("https://login.e.example/x", false),
        ("https://e.example.evil.example/x", false),
    ] {
        let device = parse(&with("verification_uri_complete", json!(complete))).unwrap();
        assert_eq!(device.verification_uri_complete.is_some(), kept, "{complete}");
    }
}
