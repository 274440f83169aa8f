//! What qwen-batch makes of answers in other forms than OpenAI's: it reads them as qwen-chat does.
use crate::support::batch::{batch, line, results, text, whole, whole_body};
use crate::support::chat::{DONE, data, finish, stream, text as event};
use crate::support::{Reply, Sandbox, Server};

/// The result of one question to a server that follows a script.
fn ask(replies: impl IntoIterator<Item = Reply>, code: i32) -> (serde_json::Value, Server) {
    let (sandbox, server) = (Sandbox::new(), Server::script(replies));
    let tool = batch(&sandbox, &server).arg("run").stdin(line("a", "x"));
    let results = results(&tool.run().exits(code).text());
    (results["a"].clone(), server)
}

#[test]
fn an_answer_within_a_text_is_recorded_as_the_object_that_it_is() {
    let inner = serde_json::Value::from(whole_body("fine").to_string());
    let (result, _) = ask([Reply::json(200, &inner.to_string())], 0);
    assert_eq!(text(&result), "fine");
    assert_eq!(result["response"]["body"]["object"], "chat.completion");
}

#[test]
fn all_choices_of_a_streamed_answer_are_kept() {
    let chunk = |index: u32, word: &str, reason: &str| {
        data(&format!(
            r#"{{"id":"i","choices":[{{"index":{index},"delta":{{"content":"{word}"}},"finish_reason":{reason}}}]}}"#
        ))
    };
    let events = [
        chunk(0, "one", "null"),
        chunk(1, "two", "null"),
        chunk(1, "", r#""length""#),
        chunk(0, "", r#""stop""#),
        DONE.to_owned(),
    ];
    let (result, _) = ask([stream(events.concat())], 0);
    let choices = &result["response"]["body"]["choices"];
    assert_eq!(choices[0]["message"]["content"], "one");
    assert_eq!(choices[1]["message"]["content"], "two");
    assert_eq!(choices[1]["finish_reason"], "length");
}

#[test]
fn what_ends_before_its_first_word_is_asked_for_again_and_what_ends_after_it_is_not() {
    let role = data(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#);
    for reply in [
        stream(""),
        stream(&role),
        stream(finish("timeout") + DONE),
        Reply::stream_head().chunk(&role).send("40\r\nhalf").close(),
        Reply::json(
            200,
            r#"{"choices":[{"message":{"content":""},"finish_reason":"error"}]}"#,
        ),
    ] {
        let (result, server) = ask([reply, whole("fine")], 0);
        assert_eq!((text(&result), server.requests().len()), ("fine", 2));
    }
    for reply in [
        stream(event("half")),
        stream(event("half") + &finish("timeout")),
        Reply::stream_head()
            .chunk(event("half"))
            .send("40\r\nhalf")
            .close(),
        Reply::json(
            200,
            r#"{"choices":[{"message":{"content":"half"},"finish_reason":"error"}]}"#,
        ),
    ] {
        let (result, server) = ask([reply, whole("fine")], 1);
        assert!(result["error"].is_object(), "{result}");
        assert_eq!(server.requests().len(), 1, "{result}");
    }
}

#[test]
fn an_answer_without_anything_in_it_is_a_failure_at_every_endpoint() {
    let empty = "the answer is empty";
    // garrytan/gbrain#328, microsoft/essex-toolkit#378.
    for (url, body, words) in [
        (
            "embeddings",
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[]}]}"#,
            empty,
        ),
        ("embeddings", r#"{"object":"list","data":[]}"#, empty),
        ("embeddings", "{}", "not an API answer: {}"),
        (
            "embeddings",
            r#"{"detail":"Not Found"}"#,
            "not an API answer: {\"detail\":\"Not Found\"}",
        ),
        ("completions", r#"{"id":"c","choices":[]}"#, empty),
        (
            "responses",
            r#"{"object":"response","status":"completed","output":[]}"#,
            empty,
        ),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::script([Reply::json(200, body)]));
        let input = format!("{{\"custom_id\":\"a\",\"url\":\"/v1/{url}\",\"body\":{{\"input\":\"x\"}}}}\n");
        let run = batch(&sandbox, &server).arg("run").stdin(input).run().exits(1);
        let result = &results(&run.text())["a"];
        assert_eq!(result["error"]["message"], words, "{url}: {body}");
        assert_eq!(
            result["response"]["body"],
            body.parse::<serde_json::Value>().unwrap()
        );
    }
}
