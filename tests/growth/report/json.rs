//! For programs.

use harness::figure::Judged;
use serde_json::{Map, Value, json};

use crate::{
    results::{Comparison, Memory, Results},
    rounds::Pace,
    side::SERVICES,
    size::Size,
};

/// Everything; each figure is its median, least and most. What was not measured is not there.
pub fn document(results: &Results, pace: &Pace) -> Value {
    let ratio = |judged: Judged| {
        (
            judged.key.to_owned(),
            json!({"figure": judged.figure, "bound": judged.bound, "is_met": judged.is_met()}),
        )
    };
    let mut document = Map::from_iter([
        ("rounds".to_owned(), json!(pace.rounds)),
        ("seconds".to_owned(), json!(pace.lasts.as_secs())),
        ("in_flight".to_owned(), json!(pace.in_flight)),
        ("judged".to_owned(), results.judged().into_iter().map(ratio).collect()),
        ("strangers_percent".to_owned(), json!(results.strangers_percent())),
        ("settings".to_owned(), json!(results.machine)),
    ]);
    document.extend(
        results.comparisons.iter().map(|comparison| (comparison.key().to_owned(), compared(comparison))),
    );
    document.extend(results.memory.iter().map(|memory| ("memory".to_owned(), remembered(memory))));
    Value::Object(document)
}

fn compared(comparison: &Comparison) -> Value {
    let side = |place: usize| {
        let Size { payments, accounts, banks, is_archived } = comparison.sizes[place];
        let figures = comparison.rows().into_iter().map(|row| (row.key, json!(row.figures[place])));
        json!({
            "stored": {"payments": payments, "accounts": accounts, "banks": banks, "is_archived": is_archived},
            "storing_took_ms": u64::try_from(comparison.stored[place].took.as_millis()).unwrap_or(u64::MAX),
            "database_bytes": comparison.stored[place].database_bytes,
            "figures": figures.collect::<Map<_, _>>(),
        })
    };
    let ratios: Map<_, _> = comparison.rows().into_iter().map(|row| (row.key, json!(row.ratio))).collect();
    json!({"small": side(0), "large": side(1), "large_by_small": ratios})
}

fn remembered(memory: &Memory) -> Value {
    let of = |place: usize| {
        let mut figures: Map<_, _> = (0..)
            .zip(SERVICES)
            .map(|(at, service)| (service.name().to_owned(), json!(memory.mib(place, Some(at)))))
            .collect();
        figures.insert("in_all".to_owned(), json!(memory.mib(place, None)));
        json!({"mib": figures, "payments_per_s": memory.per_s(place)})
    };
    let by_number = memory.in_flight.iter().enumerate();
    let mut document: Map<_, _> =
        by_number.map(|(place, in_flight)| (in_flight.to_string(), of(place))).collect();
    let others = memory.others();
    let others: Vec<_> =
        others.iter().map(|(in_flight, what)| json!({"in_flight": in_flight, "what": what})).collect();
    document.insert("others".to_owned(), json!(others));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::document;
    use crate::{results::tests::two_rounds, rounds::Pace};

    #[test]
    fn programs_find_what_they_were_promised() {
        let pace = Pace { rounds: 2, lasts: Duration::from_secs(5), in_flight: 256 };
        let document = document(&two_rounds(), &pace);
        let at = |path: &str| document.pointer(path).unwrap_or_else(|| panic!("{path}: {document:#}"));
        assert_eq!(at("/payments/large/stored/payments"), 10_000_000);
        assert_eq!(at("/payments/large_by_small/payments_per_s/median"), 0.75);
        assert_eq!(at("/payments/small/figures/p99_ms/min"), 1.0);
        assert_eq!(at("/judged/memory_mib/is_met"), false);
        assert_eq!(at("/memory/4096/mib/in_all/median"), 450.0);
        assert_eq!(at("/memory/others/0/what"), "7 OVERLOADED");
        assert_eq!(document.get("banks"), None);
    }
}
