//! What the proxy says of itself: whether it forwards, whether its models are there, and what they are called. Owns these
//! answers, of which some are ours and some those that clients of TEI and of OpenAI's list of models expect.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{answer, call::Shape, explain::told::blend, fault::Fault, response};
use crate::{
    cluster::body::Body, config::Settings, document_ranking::NotRanked, open_models::OpenModel, state::Context,
};

/// Always 200 while the proxy forwards: a model that is still loading is no reason to take searches away from it.
pub(crate) fn health(context: &Context) -> Response<Body> {
    let mut ready = true;
    let (mut models, mut devices) = (Map::new(), Map::new());
    // A cascade is as ready as its models.
    let mut names = names(context);
    names.sort_unstable();
    for name in names {
        let Some(scorer) = context.snapshot.scorers.get(name) else { continue };
        let state = scorer.readiness();
        ready &= state.is_ready();
        // What it was loaded on before is of no interest where it is not there now.
        let device = scorer.device().filter(|_| state.is_ready());
        models.insert(name.to_owned(), Value::String(state.to_string()));
        devices.extend(device.map(|device| (name.to_owned(), Value::String(device))));
    }
    let status = if ready { "ready" } else { "forwarding only" };
    response::json(
        StatusCode::OK,
        line(&json!({
            "status": status,
            "version": env!("CARGO_PKG_VERSION"),
            "cluster": cluster(context),
            "models": models,
            "devices": devices,
        })),
    )
}

/// Whether the cluster took the latest connection: nothing is asked for this.
fn cluster(context: &Context) -> &'static str {
    let nodes = context.snapshot.cluster.figures();
    match nodes.iter().filter_map(|node| node.is_up).max() {
        Some(true) => "reachable",
        Some(false) => "not reachable",
        None => "not known",
    }
}

/// TEI's health, for those who send rerank calls only: 503 while the model that they get is not there.
pub(super) fn model_health(context: &Context) -> Response<Body> {
    let meant = context.snapshot.settings.api.model.as_deref();
    let mut states =
        names(context).into_iter().filter(|name| meant.is_none_or(|meant| meant == *name)).filter_map(|name| {
            let state = context.snapshot.scorers.get(name)?.readiness();
            (!state.is_ready()).then(|| format!("{name}: {state}"))
        });
    match states.next() {
        Some(why) => answer::fault(Shape::Tei, &Fault::NotRanked(NotRanked::Unavailable(why))),
        None => response::json(StatusCode::OK, Vec::new()),
    }
}

/// What TEI says of its model, of the one that is asked where a call names none.
pub(super) fn info(context: &Context) -> Response<Body> {
    let config = &context.snapshot.settings.api;
    let first = names(context).into_iter().next().unwrap_or_default();
    let name = config.model.as_deref().unwrap_or(first);
    let mut info = json!({
        "model_id": name,
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "model_dtype": "unknown",
        "model_sha": Value::Null,
        "max_input_length": Value::Null,
        "max_concurrent_requests": config.concurrency,
        "max_client_batch_size": config.max_documents,
        "max_batch_tokens": context.snapshot.settings.scoring.queue_tokens,
        "max_batch_requests": Value::Null,
        "tokenization_workers": Value::Null,
        "auto_truncate": true,
        "version": env!("CARGO_PKG_VERSION"),
        "sha": Value::Null,
        "docker_label": Value::Null,
        "proxy": proxy(&context.snapshot.settings),
    });
    // Of a model on a server nothing is known.
    if let Some(OpenModel::Local(folder)) = context.snapshot.models.get(name) {
        info["model_sha"] = json!(folder.revision());
        info["max_input_length"] = json!(folder.max_length());
        info["model_dtype"] = json!(folder.onnx().file_stem().map(|stem| stem.to_string_lossy()));
    }
    response::json(StatusCode::OK, line(&info))
}

/// What the playground lets a person choose from: the engine, where it is named, the models and the rules. No secrets.
fn proxy(settings: &Settings) -> Value {
    let rules = settings.rules.iter().zip(1..).map(|(rule, number)| {
        json!({
            "number": number,
            "index": rule.index.globs().collect::<Vec<_>>(),
            "mode": rule.mode.name(),
            "model": rule.model,
            "window": rule.window,
            "budget_ms": rule.budget.as_millis() as u64,
            "blend": blend(rule.blend),
        })
    });
    json!({
        "engine": settings.upstream.engine,
        "models": settings.models.keys().collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
    })
}

/// The models, and what else they are called here.
pub(super) fn models(context: &Context) -> Response<Body> {
    let aliases = context.snapshot.settings.api.aliases.keys().map(String::as_str);
    let entry = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "rerank-proxy"});
    let data: Vec<Value> = names(context).into_iter().chain(aliases).map(entry).collect();
    response::json(StatusCode::OK, line(&json!({"object": "list", "data": data})))
}

/// The names of the models.
pub(super) fn names(context: &Context) -> Vec<&str> {
    context.snapshot.settings.models.keys().map(String::as_str).collect()
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}
