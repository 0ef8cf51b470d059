//! The summary of all instances: which are healthy, and how well their images protect them. It renders nothing.

use chrono::{DateTime, TimeDelta, Utc};
use model::overview::{Overview, OverviewInstance};
use model::{Health, Image, ImageStatus, Instance, InstanceStatus};

use crate::components::status_badge::StatusStyle;
use crate::labels;

/// An image that is older than this does not protect its instance well.
const OLD: TimeDelta = TimeDelta::days(3);

/// What the summary says about an instance. An instance that is healthy and protected has the remark `Protected` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    Protected,
    NotCreated,
    NotResponding,
    AtRisk,
    WorkerMissing,
    NoImage,
    OldImage,
    PartialImage,
    UnprovenImage,
    NotChecked,
    BeingCreated,
    Changing,
    Stopped,
}

impl Remark {
    /// All remarks, in the order of the summary.
    const ALL: [Self; 13] = [
        Self::Protected,
        Self::NotCreated,
        Self::NotResponding,
        Self::AtRisk,
        Self::WorkerMissing,
        Self::NoImage,
        Self::OldImage,
        Self::PartialImage,
        Self::UnprovenImage,
        Self::NotChecked,
        Self::BeingCreated,
        Self::Changing,
        Self::Stopped,
    ];

    /// The label behind a count, such as `2 without an image`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::NotCreated => "not created",
            Self::NotResponding => "not responding",
            Self::AtRisk => "at risk",
            Self::WorkerMissing => "without the background worker",
            Self::NoImage => "without an image",
            Self::OldImage => "without a recent image",
            Self::PartialImage => "with a partial image",
            Self::UnprovenImage => "with an unproven image",
            Self::NotChecked => "not checked yet",
            Self::BeingCreated => "being created",
            Self::Changing => "starting or stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The tooltip, where the label uses a term.
    pub(super) fn explanation(self) -> Option<&'static str> {
        Some(match self {
            Self::Protected => {
                "The newest complete image is recent and proven: it was restored and compared equal"
            }
            Self::AtRisk => "Data will be lost when the instance stops",
            Self::WorkerMissing => labels::MISSING_WORKER_EFFECT.trim_end_matches('.'),
            Self::OldImage => "No complete image for 3 days, or the newest attempt failed",
            Self::PartialImage => "No image holds every database",
            Self::UnprovenImage => "The newest complete image was not restored and compared yet",
            _ => return None,
        })
    }

    fn is_problem(self) -> bool {
        !matches!(
            self,
            Self::Protected | Self::NotChecked | Self::BeingCreated | Self::Changing | Self::Stopped
        )
    }
}

/// The summary of all instances.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// The verdict, or how many items need attention; empty if the counts say everything.
    pub(super) sentence: String,
    /// How many items need attention.
    attention: usize,
    /// How many instances have each remark; empty if all are healthy and protected.
    pub(super) counts: Vec<(Remark, usize)>,
}

impl Summary {
    /// Summarizes the instances of `overview` and the number of items that need attention.
    pub(super) fn new(overview: &Overview, attention: usize, now: DateTime<Utc>) -> Self {
        let remarks: Vec<Remark> = overview.instances.iter().flat_map(|row| remarks(row, now)).collect();
        let count = |remark| (remark, remarks.iter().filter(|other| **other == remark).count());
        let counts: Vec<_> = Remark::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect();
        let all_protected = counts.iter().all(|(remark, _)| *remark == Remark::Protected);
        let sentence = match (attention, all_protected, remarks.len()) {
            (0, true, 1) => "The instance is healthy and protected.".to_owned(),
            (0, true, count) => format!("All {count} instances are healthy and protected."),
            (0, false, _) => String::new(),
            (1, ..) => "1 item needs attention.".to_owned(),
            (count, ..) => format!("{count} items need attention."),
        };
        Self { sentence, attention, counts: if all_protected { Vec::new() } else { counts } }
    }

    /// The badge beside the title; none while the instances are neither all protected nor a problem.
    pub(super) fn style(&self) -> Option<StatusStyle> {
        let is_problem = self.counts.iter().any(|(remark, _)| remark.is_problem());
        match (self.attention > 0 || is_problem, self.counts.is_empty()) {
            (true, _) => Some(StatusStyle::new("warn", "s-warn", "needs attention")),
            (false, true) => Some(StatusStyle::new("ok", "s-ok", "protected")),
            (false, false) => None,
        }
    }
}

fn remarks(row: &OverviewInstance, now: DateTime<Utc>) -> Vec<Remark> {
    let instance = &row.instance;
    let condition = condition(instance);
    let protection = match instance.status {
        InstanceStatus::Creating | InstanceStatus::Failed | InstanceStatus::Deleting => None,
        _ => protection(row, now),
    };
    match (condition, protection) {
        (None, None) if instance.status != InstanceStatus::Deleting => vec![Remark::Protected],
        (condition, protection) => condition.into_iter().chain(protection).collect(),
    }
}

/// The remark about the server; none if it is healthy.
fn condition(instance: &Instance) -> Option<Remark> {
    Some(match (instance.status, instance.health) {
        (InstanceStatus::Running, Health::Ok) if instance.health_detail.is_some() => Remark::AtRisk,
        (InstanceStatus::Running, Health::Ok) if labels::missing_worker(instance).is_some() => {
            Remark::WorkerMissing
        }
        (InstanceStatus::Running, Health::Ok) | (InstanceStatus::Deleting, _) => return None,
        (InstanceStatus::Running, Health::Down) => Remark::NotResponding,
        (InstanceStatus::Running, Health::Unknown) => Remark::NotChecked,
        (InstanceStatus::Creating, _) => Remark::BeingCreated,
        (InstanceStatus::Starting | InstanceStatus::Stopping, _) => Remark::Changing,
        (InstanceStatus::Stopped, _) => Remark::Stopped,
        (InstanceStatus::Failed, _) => Remark::NotCreated,
    })
}

/// The remark about the images; none if the newest complete one is recent and proven, and no later attempt failed.
fn protection(row: &OverviewInstance, now: DateTime<Utc>) -> Option<Remark> {
    if row.instance.last_image_at.is_none() {
        return Some(Remark::NoImage);
    }
    let has_failed = |image: &Image| match image.status {
        ImageStatus::Corrupt => true,
        ImageStatus::Failed => !image.was_cancelled(),
        ImageStatus::Creating | ImageStatus::Available | ImageStatus::Deleting => false,
    };
    if row.newest.as_ref().is_some_and(has_failed) {
        return Some(Remark::OldImage);
    }
    // A partial image protects nothing but the databases that it holds.
    let Some(complete) = &row.newest_complete else { return Some(Remark::PartialImage) };
    // The data of a stopped instance does not change.
    if row.instance.status != InstanceStatus::Stopped && now - complete.created_at > OLD {
        return Some(Remark::OldImage);
    }
    complete.proven_at.is_none().then_some(Remark::UnprovenImage)
}
