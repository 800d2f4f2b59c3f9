//! For programs.

use harness::figure::Figure;
use serde_json::{Map, Value, json};

use crate::{
    contender::{Contender, Pressure},
    results::Results,
    settings::Settings,
};

/// Everything; each figure is its median, least and most. What was not measured is not there.
pub fn document(results: &Results, settings: &Settings) -> Value {
    let of_record = results.of_record();
    let pressure = Pressure::InFlight(of_record);
    let p99 = |contender| results.p99_ms(contender);
    let beside = results.in_flight.iter().skip(1).map(|&calls| (calls.to_string(), beside(results, calls)));
    json!({
        "rounds": results.rounds,
        "payments_per_s": by_contender(|contender| results.per_s(contender, of_record)),
        "p50_ms": by_contender(|contender| {
            results.figure(contender, pressure, |sample| sample.latency_ms.map(|(p50_ms, _)| p50_ms))
        }),
        "p99_ms": by_contender(|contender| {
            results.figure(contender, pressure, |sample| sample.latency_ms.map(|(_, p99_ms)| p99_ms))
        }),
        "p99_ms_at_1000": by_contender(p99),
        "cpu_us_per_payment": by_contender(|contender| {
            Some(by_process(results.cpu_us(contender))).filter(|processes| !processes.is_empty())
        }),
        "wal_bytes_per_payment": by_contender(|contender| {
            results.figure(contender, pressure, |sample| sample.wal_bytes)
        }),
        "memory_mib": by_process(results.memory_mib()),
        "ratios": results.ratios().iter().map(|ratio| (ratio.key.to_owned(), json!(ratio.figure))).collect::<Map<_, _>>(),
        "beside": beside.collect::<Map<_, _>>(),
        "strangers_percent": results.strangers_percent(),
        "settings": settings,
    })
}

/// The figures of a number in flight that is not that of record.
fn beside(results: &Results, in_flight: usize) -> Value {
    json!({
        "payments_per_s": by_contender(|contender| results.per_s(contender, in_flight)),
        "ratios": by_contender(|contender| match contender {
            Contender::EchoChain | Contender::Naive => results.rate_ratio(contender, in_flight),
            Contender::Rialto | Contender::HotMerchant | Contender::LeanEchoChain | Contender::TpcB => None,
        }),
    })
}

fn by_contender<T: serde::Serialize>(of: impl Fn(Contender) -> Option<T>) -> Map<String, Value> {
    let known = Contender::ALL.into_iter().filter_map(|contender| Some((contender, of(contender)?)));
    known.map(|(contender, value)| (contender.key().to_owned(), json!(value))).collect()
}

fn by_process(figures: Vec<(&'static str, Figure)>) -> Map<String, Value> {
    figures.into_iter().map(|(process, figure)| (process.to_owned(), json!(figure))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document;
    use crate::{results::tests::two_rounds, settings::tests::some};

    #[test]
    fn programs_find_what_they_were_promised() {
        let document = document(&two_rounds(), &some());
        assert_eq!(document["rounds"], 2);
        let rate = json!({"median": 10_500.0, "min": 7_000.0, "max": 14_000.0});
        assert_eq!(document["payments_per_s"]["rialto"], rate);
        for ratio in ["tpcb", "echo_chain", "naive", "hot_merchant", "p99_at_1000"] {
            assert!(document["ratios"][ratio]["median"].is_f64(), "{ratio}: {document}");
        }
        assert_eq!(document["cpu_us_per_payment"]["naive"]["load"]["max"], 40.0);
        assert_eq!(document["wal_bytes_per_payment"]["tpcb"]["min"], 1_000.0);
        assert_eq!(document["beside"]["1024"]["payments_per_s"]["rialto"]["median"], 9_000.0);
        assert_eq!(document["beside"]["1024"]["payments_per_s"]["naive"], json!(null));
        assert_eq!(document["settings"]["tls"][0], "gateway → platform");
    }
}
