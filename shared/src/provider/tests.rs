use serde_json::{Value, json};
use url::Url;

use super::{Provider, all, host_matches, is_key_variable, named, recognise};

#[test]
fn every_entry_of_the_catalogue_is_read() {
    let read: Vec<Provider> = serde_json::from_str(include_str!("catalogue.json")).unwrap();
    assert_eq!(all().count(), read.len());
    for provider in all() {
        assert_eq!(named(&provider.name).unwrap().title, provider.title);
    }
    assert_eq!(all().last().unwrap().name, "custom");
}

#[test]
fn an_endpoint_is_recognised_by_its_host() {
    for (url, name) in [
        ("https://api.openai.com/v1", "openai"),
        ("https://API.OPENAI.COM/v1/", "openai"),
        ("https://api.openai.com.evil.example/v1", "custom"),
        ("https://mine.openai.azure.com/openai/v1", "azure-v1"),
        ("https://mine.openai.azure.com/", "azure"),
        (
            "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
            "dashscope",
        ),
        ("https://coding-intl.dashscope.aliyuncs.com/v1", "coding-plan"),
        ("https://api.openai.com./v1", "openai"),
        ("https://mine.cognitiveservices.azure.com/openai/v1/", "azure-v1"),
        ("https://mine.cognitiveservices.azure.com/", "azure"),
        ("https://mine.services.ai.azure.com/openai/v1", "azure-v1"),
        (
            "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            "token-plan",
        ),
        (
            "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
            "dashscope",
        ),
        (
            "https://ws-1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1",
            "dashscope",
        ),
        ("https://ws-1.eu-central-1.maas.aliyuncs.com/other", "custom"),
        ("https://maas.aliyuncs.com.example/compatible-mode/v1", "custom"),
        ("https://api.moonshot.cn/v1", "moonshot"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://localhost:11434/v1/", "ollama"),
        ("http://LOCALHOST:8080", "llama.cpp"),
        ("http://[::1]:8000/v1", "vllm"),
        ("http://localhost/v1", "custom"),
        ("http://127.0.0.1:9999/v1", "custom"),
        ("https://llm.example.org/v1", "custom"),
    ] {
        let found = recognise(&Url::parse(url).unwrap()).unwrap();
        assert_eq!(found.name, name, "{url}");
    }
}

#[test]
fn a_provider_is_found_by_its_name_whatever_its_case() {
    for name in ["groq", "Groq", " GROQ ", "lm studio", "Azure-V1"] {
        let found = named(name).map(|provider| provider.name.as_str());
        let own = ["groq", "azure-v1"]
            .into_iter()
            .find(|own| name.trim().eq_ignore_ascii_case(own));
        assert_eq!(found, own, "{name}");
    }
}

/// A project's file sets none of them without consent.
#[test]
fn a_variable_that_other_programs_read_too_is_no_key_variable_of_ours_alone() {
    for (name, is_ours) in [
        ("GROQ_API_KEY", true),
        ("OPENAI_API_KEY", true),
        ("GITHUB_TOKEN", false),
        ("HF_TOKEN", false),
        ("GEMINI_API_KEY", false),
        ("GOOGLE_API_KEY", false),
        ("API_KEY", false),
        ("openai_api_key", false),
        ("name", false),
        ("\",\"", false),
        ("", false),
    ] {
        assert_eq!(is_key_variable(name), is_ours, "{name}");
    }
}

#[test]
fn every_key_variable_of_an_entry_is_found_where_no_entry_shares_it() {
    for known in all().filter_map(|known| known.key_variable.as_deref()) {
        let mut of_name = all().filter(|other| other.key_variable.as_deref() == Some(known));
        let is_ours = !of_name.any(|other| other.key_variable_shared);
        assert_eq!(is_key_variable(known), is_ours, "{known}");
    }
}

/// A person without a key is told where one is made.
#[test]
fn every_provider_that_needs_a_key_says_where_one_is_made() {
    for provider in all().filter(|known| known.needs_key && known.oauth.is_none()) {
        let page = provider.key_page.as_deref().unwrap_or_default();
        assert!(
            provider.name == "custom" || page.starts_with("https://"),
            "{provider}"
        );
    }
}

#[test]
fn a_key_belongs_to_the_origins_of_its_provider() {
    let dashscope = named("dashscope").unwrap();
    assert!(dashscope.owns(&Url::parse("https://dashscope-intl.aliyuncs.com/x").unwrap()));
    assert!(!dashscope.owns(&Url::parse("http://dashscope-intl.aliyuncs.com/x").unwrap()));
    assert!(!dashscope.owns(&Url::parse("https://api.openai.com/v1").unwrap()));
    let together = named("together").unwrap();
    for (url, is_its) in [
        ("https://api.together.xyz/v1", true),
        ("https://api.together.ai/v1", true),
        ("http://api.together.xyz/v1", false),
        ("https://api.together.xyz:8443/v1", false),
        ("https://api.together.xyz.example/v1", false),
    ] {
        assert_eq!(together.owns(&Url::parse(url).unwrap()), is_its, "{url}");
    }
    let azure = named("azure").unwrap();
    assert!(!azure.owns(&Url::parse("https://mine.openai.azure.com/").unwrap()));
}

/// What the catalogue says of a provider is what its documentation says, at the addresses that are kept there.
#[test]
fn every_entry_is_documented() {
    let text = include_str!("../../../tests/data/providers.json");
    let documented: Vec<Value> = serde_json::from_str(text).unwrap();
    let entries = all().filter(|provider| provider.name != "custom");
    let entries: Vec<Value> = entries
        .zip(&documented)
        .map(|(provider, row)| {
            let urls = provider.regions.iter().map(|region| region.base_url.as_str());
            let mut entry = json!({
                "name": provider.name,
                "base_urls": urls.collect::<Vec<_>>(),
                "default_model": provider.default_model,
                "documented_at": row["documented_at"],
            });
            let texts = [
                ("key_variable", &provider.key_variable),
                ("key_page", &provider.key_page),
            ];
            for (name, text) in texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, text.as_ref()?)))
            {
                entry[name] = json!(text);
            }
            entry
        })
        .collect();
    assert_eq!(entries, documented);
    for row in &documented {
        let pages = row["documented_at"].as_array().unwrap();
        let is_address = |page: &Value| page.as_str().unwrap().starts_with("https://");
        assert!(!pages.is_empty() && pages.iter().all(is_address), "{row}");
    }
}

/// The providers of the contract: those that Qwen Code offers today, and those that it lacks.
#[test]
fn the_catalogue_has_every_provider_of_the_contract() {
    for (name, variable, urls) in [
        ("openai", "OPENAI_API_KEY", &["https://api.openai.com/v1"][..]),
        ("qwen", "", &["https://dashscope.aliyuncs.com/compatible-mode/v1"]),
        (
            "dashscope",
            "DASHSCOPE_API_KEY",
            &[
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
                "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
            ],
        ),
        (
            "coding-plan",
            "BAILIAN_CODING_PLAN_API_KEY",
            &[
                "https://coding.dashscope.aliyuncs.com/v1",
                "https://coding-intl.dashscope.aliyuncs.com/v1",
            ],
        ),
        (
            "token-plan",
            "BAILIAN_TOKEN_PLAN_API_KEY",
            &[
                "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
                "https://token-plan.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",
            ],
        ),
        (
            "openrouter",
            "OPENROUTER_API_KEY",
            &["https://openrouter.ai/api/v1"],
        ),
        ("requesty", "REQUESTY_API_KEY", &["https://router.requesty.ai/v1"]),
        ("deepseek", "DEEPSEEK_API_KEY", &["https://api.deepseek.com/"]),
        ("xai", "XAI_API_KEY", &["https://api.x.ai/v1"]),
        (
            "minimax",
            "MINIMAX_API_KEY",
            &["https://api.minimax.io/v1", "https://api.minimaxi.com/v1"],
        ),
        (
            "zai",
            "ZAI_API_KEY",
            &[
                "https://api.z.ai/api/paas/v4",
                "https://api.z.ai/api/coding/paas/v4",
            ],
        ),
        (
            "moonshot",
            "MOONSHOT_API_KEY",
            &["https://api.moonshot.ai/v1", "https://api.moonshot.cn/v1"],
        ),
        (
            "modelscope",
            "MODELSCOPE_API_KEY",
            &["https://api-inference.modelscope.cn/v1"],
        ),
        ("vllm", "", &["http://127.0.0.1:8000/v1"]),
        ("llama.cpp", "", &["http://127.0.0.1:8080/v1"]),
        ("ollama", "", &["http://127.0.0.1:11434/v1"]),
        (
            "gemini",
            "GEMINI_API_KEY",
            &["https://generativelanguage.googleapis.com/v1beta/openai"],
        ),
        ("mistral", "MISTRAL_API_KEY", &["https://api.mistral.ai/v1"]),
        ("groq", "GROQ_API_KEY", &["https://api.groq.com/openai/v1"]),
        ("together", "TOGETHER_API_KEY", &["https://api.together.ai/v1"]),
        (
            "fireworks",
            "FIREWORKS_API_KEY",
            &["https://api.fireworks.ai/inference/v1"],
        ),
        ("cerebras", "CEREBRAS_API_KEY", &["https://api.cerebras.ai/v1"]),
        (
            "siliconflow",
            "SILICONFLOW_API_KEY",
            &["https://api.siliconflow.com/v1", "https://api.siliconflow.cn/v1"],
        ),
        ("huggingface", "HF_TOKEN", &["https://router.huggingface.co/v1"]),
        ("github", "GITHUB_TOKEN", &["https://models.github.ai/inference"]),
        ("lmstudio", "", &["http://127.0.0.1:1234/v1"]),
        ("sglang", "", &["http://127.0.0.1:30000/v1"]),
        ("litellm", "LITELLM_PROXY_API_KEY", &["http://127.0.0.1:4000/v1"]),
        ("azure", "AZURE_OPENAI_API_KEY", &[]),
        ("azure-v1", "AZURE_OPENAI_API_KEY", &[]),
    ] {
        let provider = named(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(provider.key_variable.as_deref().unwrap_or_default(), variable);
        let own: Vec<String> = provider.complete_urls().map(String::from).collect();
        assert_eq!(own, urls, "{name}");
        assert!(!provider.title.is_empty() && !provider.default_model.is_empty());
        for url in provider.complete_urls().filter(|_| provider.oauth.is_none()) {
            assert_eq!(recognise(&url).unwrap().name, name, "{url}");
        }
    }
}

#[test]
fn a_pattern_covers_a_name_and_what_is_below_it() {
    for (pattern, host, covered) in [
        ("portal.qwen.ai", "portal.qwen.ai", true),
        ("*.qwen.ai", "portal.qwen.ai", true),
        ("*.qwen.ai", "PORTAL.QWEN.AI.", true),
        ("*.qwen.ai", "qwen.ai", true),
        ("*.qwen.ai", "evilqwen.ai", false),
        ("*.qwen.ai", "qwen.ai.evil.example", false),
        ("qwen.ai", "portal.qwen.ai", false),
    ] {
        assert_eq!(host_matches(pattern, host), covered, "{pattern} {host}");
    }
}

#[test]
fn requests_go_where_each_provider_wants_them() {
    for (name, base, version, url) in [
        (
            "openai",
            "https://api.openai.com/v1/",
            None,
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "deepseek",
            "https://api.deepseek.com",
            None,
            "https://api.deepseek.com/chat/completions",
        ),
        (
            "azure",
            "https://mine.openai.azure.com/",
            Some("2025-01-01"),
            "https://mine.openai.azure.com/openai/deployments/gpt%204o/chat/completions?api-version=2025-01-01",
        ),
        (
            "azure-v1",
            "https://mine.openai.azure.com/openai/v1",
            None,
            "https://mine.openai.azure.com/openai/v1/chat/completions",
        ),
    ] {
        let base = Url::parse(base).unwrap();
        let got = named(name).unwrap().chat_url(&base, "gpt 4o", version);
        assert_eq!(got.as_str(), url);
    }
}
