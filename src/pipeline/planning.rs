//! Plans for the searches of a request: under which rule each of them falls, and on which terms it is planned. Owns that a
//! search which cannot be planned does not keep its neighbours from it.

use std::sync::Arc;

use engines::{
    dialect::{Assembled, SearchRequest},
    failure::{Failure, FailureKind},
    plan::{Explain, NoPlan, SkipReason, Terms},
    request::{Search, SearchRoute},
};
use ranking::order::Blend;

use super::{fields::Fields, planned::Planned};
use crate::{
    config::rules::{self, Explicit, Mode, Rule},
    isolation::guarded,
    request_options::RequestOptions,
    state::{Context, Snapshot},
};

/// The purpose for which a request is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// To be answered.
    Answer,
    /// To be scored in the background: only the searches whose rule is in mode `shadow`.
    Shadow,
}

/// The plan of each search of a request, or the reason why it has none.
pub(super) type Plans = Vec<Result<Arc<Planned>, SkipReason>>;

/// What the rule of each search of a request is called, where it falls under one.
pub(super) type Rules = Vec<Option<Arc<str>>>;

/// Plans each search, and puts together what is sent where one of them is to be reranked. `multi`: whether they are
/// several.
pub(super) fn plans(
    snapshot: &Snapshot,
    mut request: Box<dyn SearchRequest>,
    multi: bool,
    options: &RequestOptions,
    run: Run,
) -> Result<(Plans, Rules, Option<Assembled>), NoPlan> {
    let count = request.searches().len();
    let (mut searches, mut rules) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for place in 0..count {
        let rule = rule_of(snapshot, &request.searches()[place]);
        rules.push(rule.map(|rule| rule.label.clone()));
        let planned = planned(snapshot, rule, &mut *request, place, options, run);
        if planned.is_err() {
            request.withdraw(place);
        }
        searches.push(match planned {
            Ok(planned) => Ok(Arc::new(planned)),
            Err(NoPlan::Skip(reason)) => Err(reason),
            // One search of several cannot be refused before the others are answered: the cluster says what it thinks.
            Err(NoPlan::Refuse(_)) if multi => Err(SkipReason::Unsupported),
            Err(refused) => return Err(refused),
        });
    }
    let any = searches.iter().any(Result::is_ok);
    let assembled = if any { Some(guarded(|| request.assemble())??) } else { None };
    Ok((searches, rules, assembled))
}

/// The reasons why none of the searches is worth rendering, as far as its rule alone says, and their rules; `None` where one is.
pub(super) fn unruled(
    snapshot: &Snapshot,
    searches: &[Search],
    options: &RequestOptions,
    run: Run,
) -> Option<(Plans, Rules)> {
    let reason = |search: &Search| {
        let rule = rule_of(snapshot, search);
        let reason = match ruled(rule, options, run) {
            Err(reason) => reason,
            Ok((_, Mode::Shadow)) if run == Run::Answer => SkipReason::Shadow,
            Ok(_) => return None,
        };
        Some((Err(reason), rule.map(|rule| rule.label.clone())))
    };
    searches.iter().map(reason).collect()
}

/// The rule of searches whose path alone says which it is.
pub(super) fn rule_of_path<'a>(context: &'a Context, route: &SearchRoute) -> Option<&'a Rule> {
    rules::find(&context.snapshot.settings.rules, &route.indices).filter(|_| route.names_indices())
}

/// The rule that the search falls under.
fn rule_of<'a>(snapshot: &'a Snapshot, search: &Search) -> Option<&'a Rule> {
    rules::find(&snapshot.settings.rules, search.indices.as_deref()?)
}

/// A search's rule, and the mode in which it counts; or why the search is none of ours.
fn ruled<'a>(rule: Option<&'a Rule>, options: &RequestOptions, run: Run) -> Result<(&'a Rule, Mode), SkipReason> {
    let rule = rule.ok_or(SkipReason::NoRule)?;
    match (options.mode(rule), run) {
        (Mode::Off, _) | (Mode::On, Run::Shadow) => Err(SkipReason::Off),
        (mode, _) => Ok((rule, mode)),
    }
}

fn planned(
    snapshot: &Snapshot,
    rule: Option<&Rule>,
    request: &mut dyn SearchRequest,
    place: usize,
    options: &RequestOptions,
    run: Run,
) -> Result<Planned, NoPlan> {
    let (rule, mode) = ruled(rule, options, run)?;
    let model = options.model.as_ref().unwrap_or(&rule.model);
    if !snapshot.scorers.contains_key(model) && mode != Mode::Shadow {
        let names: Vec<&str> =
            snapshot.settings.models.keys().chain(snapshot.settings.fused.keys()).map(String::as_str).collect();
        let reason = format!("X-Rerank-Model: there is no model `{model}`; there is: {}", names.join(", "));
        return Err(NoPlan::Refuse(Failure::new(FailureKind::IllegalArgument, reason)));
    }
    let blend = options.blend.unwrap_or(rule.blend);
    let fields = Fields::of(snapshot.settings.field_signals(model), rule);
    let terms = Terms {
        window: options.window(rule),
        passage: &rule.passage,
        query: options.query.as_deref(),
        query_path: &rule.query_path,
        leave_explicit: rule.explicit == Explicit::Cluster,
        scores: matches!(blend, Blend::Linear { .. })
            || options.explain != Explain::No
            || snapshot.settings.fuses_the_cluster(model),
        values: fields.names(),
    };
    let plan = match guarded(|| request.plan(place, &terms))? {
        // A shadow answers nothing, so it refuses nothing.
        Err(NoPlan::Refuse(_)) if mode == Mode::Shadow => return Err(SkipReason::Shadow.into()),
        plan => plan?,
    };
    if options.rerank.is_none() && !rule.takes(&plan.query) {
        return Err(SkipReason::Traffic.into());
    }
    if mode == Mode::Shadow && run == Run::Answer {
        return Err(SkipReason::Shadow.into());
    }
    if options.min_score.is_some() && !snapshot.settings.is_calibrated(rule, model) {
        let reason = format!("X-Rerank-Min-Score: the scores of `{model}` are no probabilities under this rule");
        return Err(NoPlan::Refuse(Failure::new(FailureKind::IllegalArgument, reason)));
    }
    let detail = options.detail.unwrap_or(snapshot.settings.clients.explain);
    Ok(Planned {
        place,
        plan,
        model: model.clone(),
        budget: options.budget(rule.budget),
        blend,
        fields,
        diversity: rule.diversity.clone(),
        long: rule.long_passages,
        shown: rule.score,
        explain: detail.of(options.explain),
        detail,
        probability: rule.probability.clone().filter(|_| *model == rule.model),
        min_score: options.min_score.or(rule.min_score),
        cut: options.min_score.is_some(),
        clipped: options.clipped(rule),
    })
}
