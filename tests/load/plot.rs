//! The picture of a load: latency by percentile, and throughput over time. Readable on light and on dark ground.

mod panel;

use harness::load::{Measured, SLOT};

use crate::{args::Pace, report::ms};
use panel::{Panel, nice_step};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 800.0;
/// How finely the curve of latencies is drawn.
const POINTS: u32 = 240;

const STYLE: &str = "\
text { font: 14px system-ui, sans-serif; fill: #1f2328 } \
.title { font-size: 20px; font-weight: 600 } .panel { font-size: 16px; font-weight: 600 } \
.muted { fill: #59636e } \
.paper { fill: #ffffff } .grid { stroke: #d1d9e0; fill: none } .axis { stroke: #59636e; fill: none } \
.line { stroke: #0969da; stroke-width: 2; fill: none; stroke-linejoin: round } \
.area { fill: #0969da; fill-opacity: 0.15 } .dot { fill: #0969da } \
.mark { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none } \
@media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .muted { fill: #9198a1 } .paper { fill: #0d1117 } \
.grid { stroke: #30363d } .axis { stroke: #9198a1 } .line { stroke: #4493f8 } .area, .dot { fill: #4493f8 } \
.mark { stroke: #f0883e } }";

/// The picture, as SVG.
pub fn picture(title: &str, subtitle: &str, measured: &Measured, pace: Pace) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"32\" y=\"42\">{title}</text>\n\
         <text class=\"muted\" x=\"32\" y=\"68\">{subtitle}</text>\n{}{}</svg>\n",
        latencies(measured),
        throughput(measured, pace),
        title = escaped(title),
        subtitle = escaped(subtitle),
    )
}

/// Latency by percentile. Each nine takes the same room, since the tail is what matters (as HdrHistogram draws it).
fn latencies(measured: &Measured) -> String {
    let nines = (measured.good.max(10) as f64).log10().clamp(2.0, 5.0);
    let step = nice_step(measured.max_ms());
    let panel =
        Panel { top: 136.0, height: 240.0, x_most: nines, y_most: (measured.max_ms() / step).ceil() * step };
    let mut drawn =
        panel.frame("Latency of payments that succeeded, by percentile", "percentile", "ms", step);
    for (place, name) in
        [(0.0, "0"), (0.301, "50"), (1.0, "90"), (2.0, "99"), (3.0, "99.9"), (4.0, "99.99"), (5.0, "99.999")]
    {
        if place <= nines {
            drawn += &panel.x_tick(place, name);
        }
    }
    let at = |place: f64| (place, measured.latency_ms(100.0 - 100.0 / 10_f64.powf(place)));
    let curve: Vec<_> = (0..=POINTS).map(|point| at(nines * f64::from(point) / f64::from(POINTS))).collect();
    drawn += &panel.line(&curve);
    for (place, name) in [(0.301, "p50"), (1.0, "p90"), (2.0, "p99"), (3.0, "p99.9"), (4.0, "p99.99")] {
        // A label so near to the right edge would stand beyond it.
        if place < nines - 0.05 {
            drawn += &panel.dot(at(place), &format!("{name} {}", ms(at(place).1)));
        }
    }
    drawn + &panel.note(&format!("max {}", ms(measured.max_ms())))
}

/// Payments that succeeded in each slot of the time.
fn throughput(measured: &Measured, pace: Pace) -> String {
    let rates = measured.goodput_by_slot_per_s();
    let asked = match pace {
        Pace::PerSecond(per_s) => per_s,
        Pace::InFlight(_) => 0.0,
    };
    let most = rates.iter().copied().fold(asked, f64::max).max(1.0) * 1.05;
    let step = nice_step(most);
    let lasted_s = measured.lasted.as_secs_f64().max(SLOT.as_secs_f64());
    let panel = Panel { top: 490.0, height: 240.0, x_most: lasted_s, y_most: (most / step).ceil() * step };
    let mut drawn = panel.frame("Payments that succeeded, over time", "seconds", "payments/s", step);
    let second = nice_step(lasted_s);
    let mut tick = 0.0;
    while tick <= lasted_s + 1e-9 {
        drawn += &panel.x_tick(tick, &format!("{tick}"));
        tick += second;
    }
    let slot_s = SLOT.as_secs_f64();
    let middle = |(slot, rate): (u32, &f64)| ((f64::from(slot) + 0.5) * slot_s, *rate);
    let curve: Vec<_> = (0..).zip(&rates).map(middle).collect();
    drawn += &panel.area(&curve);
    drawn += &panel.line(&curve);
    match pace {
        Pace::PerSecond(per_s) => {
            drawn += &panel.mark(per_s);
            drawn + &panel.note(&format!("dashed: {per_s}/s asked for"))
        }
        Pace::InFlight(_) => {
            drawn += &panel.mark(measured.goodput_per_s());
            drawn + &panel.note(&format!("dashed: mean {:.0}/s", measured.goodput_per_s()))
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
