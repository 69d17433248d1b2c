//! How much memory each kind of work may take: read from the settings, and judged together.

use std::num::NonZeroUsize;

use super::Values;
use crate::budget::{Budgets, CacheSizes, MemoryPlan, SEALING, Share, memory_limit};

/// A value may grow fourfold as JSON and by a third as a token, and must fit a message between nodes.
const MAX_BODY_BYTES: usize = 8 << 20;

/// The plan that the settings and the cgroup give. Where they do not fit, it records faults.
pub(super) fn plan(values: &mut Values<'_>, max_body_bytes: usize) -> MemoryPlan {
    let total = bytes(values, "MEMORY_BYTES");
    let sizes = Share::ALL.map(|share| bytes(values, share.setting()));
    let size = |wanted| {
        let mut all = Share::ALL.into_iter().zip(sizes);
        all.find(|(share, _)| *share == wanted)
            .and_then(|(_, size)| size)
    };
    let limit = memory_limit();
    let plan = match MemoryPlan::new(total, limit, size) {
        Ok(plan) => plan,
        Err(error) => {
            values.faults.add("OSC_MEMORY_BYTES", &error.to_string());
            return MemoryPlan::fallback();
        }
    };
    let room = Budgets::largest_value(&plan);
    if max_body_bytes > room {
        let fault = format!(
            "is {max_body_bytes}, but a value takes {SEALING} times its size until it is stored, and a third of \
             OSC_MEMORY_BYTES ({}), or OSC_VALUE_MEMORY_BYTES, has room for {room} bytes at most; lower it, or raise one of these",
            plan.total()
        );
        values.faults.add("OSC_MAX_BODY_BYTES", &fault);
    }
    for share in [Share::Bodies, Share::Answers] {
        let room = Budgets::largest(&plan, share);
        if max_body_bytes > room {
            let setting = share.setting();
            let fault = format!(
                "is {max_body_bytes}, but OSC_{setting} (a share of OSC_MEMORY_BYTES) has room for {room} bytes at most; \
                 lower it, or raise one of these"
            );
            values.faults.add("OSC_MAX_BODY_BYTES", &fault);
        }
    }
    plan
}

/// The caches that fit the plan, for a node with so many serving threads.
pub(super) fn caches(
    values: &mut Values<'_>,
    plan: &MemoryPlan,
    workers: NonZeroUsize,
) -> CacheSizes {
    let readers = workers.get() * 2;
    let share = plan.bytes(Share::Store);
    CacheSizes::of(share, readers).unwrap_or_else(|| {
        let fault = format!(
            "has {share} bytes, and the store needs {} at least; raise it or OSC_MEMORY_BYTES, or lower the other shares",
            CacheSizes::LEAST
        );
        let variable = format!("OSC_{}", Share::Store.setting());
        values.faults.add(&variable, &fault);
        CacheSizes::SMALLEST
    })
}

/// The largest body of a client.
pub(super) fn max_body_bytes(values: &mut Values<'_>) -> usize {
    values
        .within("MAX_BODY_BYTES", "a number of bytes", 1..=MAX_BODY_BYTES)
        // A fault is recorded already; with this value no other fault of it follows.
        .unwrap_or(1)
}

/// How many values the value of one entry may hold.
pub(super) fn json_values(values: &mut Values<'_>) -> usize {
    let wanted = "a number of values from 1";
    values
        .parse_optional("MAX_JSON_VALUES", wanted)
        .map_or(1, NonZeroUsize::get)
}

fn bytes(values: &mut Values<'_>, name: &str) -> Option<usize> {
    values.layers.get(name)?;
    values.within(name, "a number of bytes", 1..=usize::MAX / 1024)
}
