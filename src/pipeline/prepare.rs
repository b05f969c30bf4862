//! What is to become of each search of a request, before the cluster is asked: templates rendered, rules found, plans
//! made. Owns that order, and that a search which cannot be planned does not keep its neighbours from it.

use std::sync::Arc;

use bytes::Bytes;
use engines::{
    dialect::{Forward, Search, SearchRequest},
    json,
    order::Blend,
    plan::{Explain, NoPlan, SkipReason, Terms},
};
use futures_util::future::join_all;
use http::Response;

use super::{
    call::SearchCall,
    fetch::{Fetched, Unusable, fetch_aside, fetch_original},
    whole,
    window::Planned,
};
use crate::{
    cluster::body::Body,
    config::rules::{self, Explicit, Mode, Rule},
    guard::{computed, guarded, is_quick_request, planned_apart},
    memory::Held,
    report::Report,
    request_options::RequestOptions,
    state::Context,
};

/// How many templates the cluster is asked to render at a time.
const RENDERED_AT_ONCE: usize = 8;

/// How many times its size a planned request is kept on the account, beside the request itself.
const PLANNED_COPIES: usize = 2;

/// What a request is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// To be answered.
    InPlace,
    /// To be scored aside: only the searches whose rule is in mode `shadow`.
    Aside,
}

/// A request that is ready to be sent.
pub(super) struct Prepared {
    /// The request, its templates rendered.
    pub(super) call: SearchCall,
    /// Each of its searches.
    pub(super) searches: Vec<Result<Planned, SkipReason>>,
    /// What to send; `None` where no search is to be reranked.
    pub(super) forward: Option<Forward>,
    /// Headers that the client sent but that do not count.
    pub(super) ignored: Vec<&'static str>,
    /// The indices of the view that its only search names; the answer may give the view another id.
    pub(super) view_of: Option<String>,
    /// What all of it is on the account with.
    _room: Held,
}

/// Why a request is not prepared.
pub(super) enum Halt {
    /// The client's own is to be sent.
    StandBack(SkipReason),
    /// The connection broke: the client's own is to be sent, once, over a new one.
    Broken,
    /// It is answered already.
    Answered(Box<Response<Body>>, SkipReason),
    /// The client asked for what cannot be done.
    Refused {
        /// The error's type.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl From<SkipReason> for Halt {
    fn from(reason: SkipReason) -> Self {
        Self::StandBack(reason)
    }
}

impl Prepared {
    /// Whether some search is to be scored aside.
    pub(super) fn any_shadowed(&self) -> bool {
        self.searches.iter().any(|search| matches!(search, Err(SkipReason::Shadow)))
    }

    /// Why each search is not reranked, where none is.
    pub(super) fn reasons(&self) -> Vec<Report> {
        self.searches.iter().filter_map(|search| search.as_ref().err()).map(|reason| Report::Skipped(*reason)).collect()
    }

    /// What is said of each search where the planned ones come to nothing, for this reason.
    pub(super) fn all_skipped(&self, reason: SkipReason) -> Vec<Report> {
        self.searches.iter().map(|search| Report::Skipped(*search.as_ref().err().unwrap_or(&reason))).collect()
    }

    /// The model of the search at `place`.
    pub(super) fn model(&self, place: usize) -> &str {
        self.searches[place].as_ref().map_or("", |planned| &planned.model)
    }

    /// Whether the search at `place` is sent other than the client did.
    pub(super) fn is_widened(&self, place: usize) -> bool {
        self.searches[place].as_ref().is_ok_and(|planned| planned.plan.widened)
    }
}

/// Prepares a request.
pub(super) async fn prepare(
    context: &Context,
    call: SearchCall,
    wishes: &RequestOptions,
    run: Run,
) -> Result<Prepared, Halt> {
    let mut call = call;
    let mut room = call.room_for_planning(&context.process.memory).map_err(SkipReason::from)?;
    if call.as_request().route.door.is_template() {
        let found = planning(context, &call, |context, request| context.dialect.searches(request)).await??;
        let reasons: Vec<_> = found.iter().map(|search| unruled(context, search, wishes, run)).collect();
        if let Some(reasons) = reasons.into_iter().collect::<Option<Vec<SkipReason>>>() {
            // None of them is ours: nothing is worth rendering.
            let searches = reasons.into_iter().map(Err).collect();
            let (ignored, room) = (wishes.ignored.clone(), room.split(0));
            return Ok(Prepared { call, searches, forward: None, ignored, view_of: None, _room: room });
        }
    }
    if let Some(path_and_query) =
        planning(context, &call, |context, request| context.dialect.introduction(request)).await?
    {
        let said =
            fetch_aside(context, call.get(path_and_query)).await.map_or_else(|_| Bytes::new(), |said| said.answer);
        planning(context, &call, move |context, request| context.dialect.introduce(request, &said)).await?;
    }
    if call.as_request().route.door.is_template() {
        call = rendered(context, call).await?;
        room = call.room_for_planning(&context.process.memory).map_err(SkipReason::from)?;
    }
    let mut found = planning(context, &call, |context, request| context.dialect.searches(request)).await??;
    if let [search] = &mut found[..]
        && search.indices.is_none()
    {
        search.indices = Some(discovered(context, &call, search.view.as_deref()).await?);
    }
    let view_of = match &found[..] {
        [Search { indices, view: Some(_), .. }] => indices.clone(),
        _ => None,
    };
    let own = wishes.clone();
    let plans = planning(context, &call, move |context, request| plans(context, request, &found, &own, run)).await?;
    let (searches, forward) = plans.map_err(|cause| match cause {
        NoPlan::Skip(reason) => Halt::StandBack(reason),
        NoPlan::Refuse { kind, reason } => Halt::Refused { kind, reason },
    })?;
    // What is sent, and the plans, which say what a body says in other words.
    let room = room.split(PLANNED_COPIES * call.size());
    Ok(Prepared { call, searches, forward, ignored: wishes.ignored.clone(), view_of, _room: room })
}

/// Runs a pure step over the request: here where that is quick, and else where it holds nobody up.
async fn planning<T: Send + 'static>(
    context: &Context,
    call: &SearchCall,
    step: impl FnOnce(&Context, SearchRequest<'_>) -> T + Send + 'static,
) -> Result<T, SkipReason> {
    if is_quick_request(call.size()) {
        return guarded(|| step(context, call.as_request()));
    }
    let (context, call) = (context.clone(), call.clone());
    planned_apart(move || step(&context, call.as_request())).await
}

/// What becomes of each search.
type Plans = Vec<Result<Planned, SkipReason>>;

/// What becomes of each search, and what is sent where one of them is to be reranked.
fn plans(
    context: &Context,
    request: SearchRequest<'_>,
    found: &[Search],
    wishes: &RequestOptions,
    run: Run,
) -> Result<(Plans, Option<Forward>), NoPlan> {
    let multi = request.route.door.is_multi();
    let mut searches = Vec::with_capacity(found.len());
    for search in found {
        searches.push(match planned(context, request, search, wishes, run) {
            Ok(planned) => Ok(planned),
            Err(NoPlan::Skip(reason)) => Err(reason),
            // One search of several cannot be refused before the others are answered: the cluster says what it thinks.
            Err(NoPlan::Refuse { .. }) if multi => Err(SkipReason::Unsupported),
            Err(refused) => return Err(refused),
        });
    }
    let mut forward = None;
    if searches.iter().any(Result::is_ok) {
        let plans: Vec<_> = searches.iter().map(|search| search.as_ref().ok().map(|planned| &*planned.plan)).collect();
        forward = Some(guarded(|| context.dialect.assemble(request, &plans))??);
    }
    Ok((searches, forward))
}

/// The rule that the search falls under, and the mode in which it counts; or why it is none of ours.
fn ruled<'a>(
    context: &'a Context,
    search: &Search,
    wishes: &RequestOptions,
    run: Run,
) -> Result<(&'a Rule, Mode), SkipReason> {
    let rule = search.indices.as_deref().and_then(|indices| rules::find(&context.snapshot.config.rules, indices));
    let rule = rule.ok_or(SkipReason::NoRule)?;
    match (wishes.mode(rule), run) {
        (Mode::Off, _) | (Mode::On, Run::Aside) => Err(SkipReason::Off),
        (mode, _) => Ok((rule, mode)),
    }
}

/// Why the search is not worth rendering, as far as its rule alone says.
fn unruled(context: &Context, search: &Search, wishes: &RequestOptions, run: Run) -> Option<SkipReason> {
    match ruled(context, search, wishes, run) {
        Err(reason) => Some(reason),
        Ok((_, mode)) => (mode == Mode::Shadow && run == Run::InPlace).then_some(SkipReason::Shadow),
    }
}

/// The request with its templates rendered by the cluster.
async fn rendered(context: &Context, call: SearchCall) -> Result<SearchCall, Halt> {
    let mut answers: Vec<Bytes> = Vec::new();
    let asked = planning(context, &call, |context, request| context.dialect.renderings(request)).await??;
    for some in asked.chunks(RENDERED_AT_ONCE) {
        let asked = some.iter().map(|(path, body)| fetch_aside(context, call.with_body(path.clone(), body.clone())));
        for answer in join_all(asked).await {
            answers.push(answer?.answer);
        }
    }
    // A few bytes may render to many: what comes out is a search's body like any other.
    let size: usize = answers.iter().map(Bytes::len).sum();
    if size > context.snapshot.config.limits.request_body {
        return Err(SkipReason::TooLarge.into());
    }
    let room =
        context.process.memory.hold(size + answers.iter().map(|answer| json::size_of_tree(answer)).sum::<usize>());
    let mut room = room.map_err(SkipReason::from)?;
    let step = move |context: &Context, request: SearchRequest<'_>| context.dialect.rendered(request, &answers);
    let (path_and_query, body) = planning(context, &call, step).await??;
    let body = room.split(body.len()).keep(body);
    Ok(call.rendered(path_and_query, body))
}

/// The indices of a search over a view that was not opened through this process: the cluster is asked as the client
/// asked, and its hits tell. Where no rule is for them, that answer is the client's.
async fn discovered(context: &Context, call: &SearchCall, view: Option<&str>) -> Result<String, Halt> {
    let Fetched { head, answer, mut room } = match fetch_original(context, call).await {
        Ok(fetched) => fetched,
        Err(Unusable::AsAsked(response, reason)) => return Err(Halt::Answered(response, reason)),
        Err(Unusable::Again(reason)) => return Err(Halt::StandBack(reason)),
        Err(Unusable::Broken) => return Err(Halt::Broken),
    };
    let (dialect, hits) = (context.dialect.clone(), answer.clone());
    let indices = computed(answer.len(), move || dialect.indices_of_hits(&hits)).await?;
    if let Some((view, indices)) = view.zip(indices.as_deref()) {
        context.dialect.remember_view(view, indices);
    }
    match indices.filter(|indices| rules::find(&context.snapshot.config.rules, indices).is_some()) {
        Some(indices) => Ok(indices),
        None => Err(Halt::Answered(Box::new(whole(call, head, answer, &mut room).await), SkipReason::NoRule)),
    }
}

fn planned(
    context: &Context,
    request: SearchRequest<'_>,
    search: &Search,
    wishes: &RequestOptions,
    run: Run,
) -> Result<Planned, NoPlan> {
    let (rule, mode) = ruled(context, search, wishes, run)?;
    let model = wishes.model.as_ref().unwrap_or(&rule.model);
    if !context.snapshot.scorers.contains_key(model) && mode != Mode::Shadow {
        let names: Vec<&str> = context
            .snapshot
            .config
            .models
            .keys()
            .chain(context.snapshot.config.cascades.keys())
            .map(String::as_str)
            .collect();
        let reason = format!("X-Rerank-Model: there is no model `{model}`; there is: {}", names.join(", "));
        return Err(NoPlan::Refuse { kind: "illegal_argument_exception", reason });
    }
    let terms = Terms {
        window: wishes.window(rule),
        passage: &rule.passage,
        query: wishes.query.as_deref(),
        query_path: &rule.query_path,
        leave_explicit: rule.explicit == Explicit::Cluster,
        scores: matches!(rule.blend, Blend::Linear { .. }) || wishes.explain != Explain::No,
    };
    let plan = match guarded(|| context.dialect.plan(request, search, &terms))? {
        // A shadow answers nothing, so it refuses nothing.
        Err(NoPlan::Refuse { .. }) if mode == Mode::Shadow => return Err(SkipReason::Shadow.into()),
        plan => plan?,
    };
    if wishes.rerank.is_none() && !rule.takes(&plan.query) {
        return Err(SkipReason::Traffic.into());
    }
    if mode == Mode::Shadow && run == Run::InPlace {
        return Err(SkipReason::Shadow.into());
    }
    Ok(Planned {
        plan: Arc::new(plan),
        model: model.clone(),
        budget: wishes.budget(rule.budget),
        blend: rule.blend,
        long: rule.long_passages,
        shown: rule.score,
        explain: context.snapshot.config.clients.explain.of(wishes.explain),
        detail: context.snapshot.config.clients.explain,
    })
}
