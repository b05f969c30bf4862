//! The fault matrix: what a client gets at each door when the cluster, or what scores, goes wrong. Each row is a fault that is
//! provoked on real sockets, each column a door, each cell one request through a proxy of its own. The tables are those of
//! `docs/faults.md`, which says what the words mean: they are read from there, so that the page is the test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

#[path = "fault_matrix/cell.rs"]
mod cell;
#[path = "fault_matrix/client.rs"]
mod client;
#[path = "fault_matrix/doors.rs"]
mod doors;
#[path = "fault_matrix/faults.rs"]
mod faults;
#[path = "fault_matrix/on_disk.rs"]
mod on_disk;
#[path = "fault_matrix/scorers.rs"]
mod scorers;
#[path = "fault_matrix/server.rs"]
mod server;

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use cell::{Cell, Settings, tried};
use common::Longest;
use doors::{DOORS, Door};
use faults::Place;
use futures_util::{StreamExt, stream};
use server::When;

/// Cells that are tried at a time.
const AT_ONCE: usize = 24;

const PAGE: &str = include_str!("../docs/faults.md");

/// The columns where scores play a part.
const SCORED: [usize; 7] = [0, 1, 2, 3, 4, 5, 8];

const LIMITS: Settings =
    &[(&["limits", "answer"], "2MiB"), (&["rules", "0", "budget"], "30s"), (&["upstream", "connect_timeout"], "250ms")];
/// Where a fault shows in the time that passes.
const IMPATIENT: Settings = &[(&["limits", "body_timeout"], "150ms"), (&["rules", "0", "budget"], "30s")];
/// Where the time for scores runs out.
const HASTY: Settings = &[(&["rules", "0", "budget"], "150ms"), (&["api", "budget"], "150ms")];

/// The rows of the tables under a heading: the name of the fault, and the cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    let section = section.split("\n## ").next().unwrap();
    let is_head = |line: &&str| line.starts_with("| the cluster |") || line.starts_with("| the fault |");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !is_head(line));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Tries every cell of the tables under a heading.
async fn assert_holds<T: Future<Output = Cell>>(
    heading: &str,
    columns: &[usize],
    tried: impl Fn(&'static str, Door, bool) -> T,
) {
    let rows = rows(heading);
    let cells =
        rows.iter().flat_map(|row| columns.iter().enumerate().map(move |(at, door)| (row, at + 1, DOORS[*door])));
    let tried = &tried;
    let tried: Vec<Cell> = stream::iter(cells)
        .map(|(row, at, door)| tried(row[0], door, row.get(at) == Some(&"waits")))
        .buffered(AT_ONCE)
        .collect()
        .await;
    assert_are(&rows, columns.len(), &tried);
}

/// Holds the rows of a table against what was found, row by row.
fn assert_are(rows: &[Vec<&str>], columns: usize, tried: &[Cell]) {
    let mut wrong = String::new();
    for (row, cells) in rows.iter().zip(tried.chunks(columns)) {
        let reasons: BTreeSet<&str> = cells.iter().flat_map(|cell| &cell.reasons).map(String::as_str).collect();
        let reasons: Vec<String> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        let found = cells.iter().map(|cell| cell.word.clone()).chain([reasons.join(", ")]);
        let found: Vec<String> = std::iter::once(row[0].to_owned()).chain(found).collect();
        if found != *row {
            let _ = writeln!(wrong, "| {} |", found.join(" | ").trim_end());
        }
    }
    assert!(wrong.is_empty(), "these rows of docs/faults.md are, in truth:\n{wrong}");
}

/// The same where the cluster has the fault.
async fn assert_holds_of_cluster(heading: &str, when: When) {
    let columns: Vec<usize> = (0..DOORS.len()).collect();
    assert_holds(heading, &columns, |fault, door, waits| async move {
        let settings = if faults::takes_time(fault) { IMPATIENT } else { LIMITS };
        tried(door, faults::named(fault), when, settings, Arc::new(Longest), waits).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_cluster_does_the_client_gets_its_answer_or_an_error_in_its_shape() {
    assert_holds_of_cluster("Whatever the cluster does", When::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_once_is_asked_again_where_that_is_safe() {
    assert_holds_of_cluster("What goes wrong once", When::Once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_that_breaks_costs_nothing_where_the_request_can_be_repeated() {
    assert_holds_of_cluster("A kept connection that breaks", When::OnKept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_scores_do_the_client_gets_the_cluster_s_hits() {
    assert_holds("Whatever scores do", &SCORED, |fault, door, waits| async move {
        let is_late = fault.contains("hangs") || fault.starts_with("a rerank server: stalls");
        let settings = if is_late { HASTY } else { LIMITS };
        let faulty = scorers::named(fault).await;
        tried(door, Place::Nowhere, When::Always, settings, faulty.scorer.clone(), waits).await
    })
    .await;
}

/// Each row is a program of its own, which has a real model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_wrong_on_the_disk_is_told_at_the_start_or_costs_no_search() {
    let rows = rows("What lies on the disk");
    let doors = SCORED.map(|door| DOORS[door]);
    let rows_tried = rows.iter().map(|row| on_disk::tried(row[0], &doors));
    let tried: Vec<Cell> = stream::iter(rows_tried).buffered(2).concat().await;
    assert_are(&rows, doors.len(), &tried);
}

#[test]
fn every_fault_of_the_cluster_is_on_the_page() {
    let there: BTreeSet<&str> = rows("Whatever the cluster does").iter().map(|row| row[0]).collect();
    assert_eq!(there, faults::names().collect());
}
