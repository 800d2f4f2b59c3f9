//! One panel of a picture: a frame with axes, and what is drawn in it.

use indicatif::HumanFloatCount;

/// Where panels begin and end, from left to right.
const LEFT: f64 = 96.0;
const RIGHT: f64 = 920.0;
/// The room that a point's name takes at most.
const NAME_WIDTH: f64 = 104.0;

/// A panel that shows values from 0 to the most of each axis.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// Its upper edge.
    pub top: f64,
    /// Its height.
    pub height: f64,
    /// What stands at the right edge.
    pub x_most: f64,
    /// What stands at the upper edge.
    pub y_most: f64,
}

impl Panel {
    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * value / self.x_most
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.height * value / self.y_most
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The title, the axes with their names, and a line for each `step` of the values.
    pub fn frame(&self, title: &str, x_name: &str, y_name: &str, step: f64) -> String {
        let (middle, bottom) = ((LEFT + RIGHT) / 2.0, self.bottom());
        let mut drawn = format!(
            "<text class=\"panel\" x=\"{LEFT}\" y=\"{}\">{title}</text>\n\
             <text class=\"muted\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{x_name}</text>\n\
             <text class=\"muted\" text-anchor=\"middle\" transform=\"translate(32 {}) rotate(-90)\">{y_name}</text>\n",
            self.top - 14.0,
            bottom + 44.0,
            self.top + self.height / 2.0,
        );
        let mut value = 0.0;
        while value <= self.y_most + step / 2.0 {
            let (y, class) = (self.y(value), if value > 0.0 { "grid" } else { "axis" });
            drawn += &format!(
                "<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
                 <text class=\"muted\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>\n",
                LEFT - 8.0,
                y + 5.0,
                label(value),
            );
            value += step;
        }
        drawn
    }

    /// A value of the axis below.
    pub fn x_tick(&self, value: f64, name: &str) -> String {
        let (x, bottom) = (self.x(value), self.bottom());
        format!(
            "<path class=\"grid\" d=\"M{x:.1} {}V{bottom}\"/>\
             <text class=\"muted\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{name}</text>\n",
            self.top,
            bottom + 20.0
        )
    }

    /// A line through points.
    pub fn line(&self, points: &[(f64, f64)]) -> String {
        format!("<polyline class=\"line\" points=\"{}\"/>\n", self.points(points))
    }

    /// What is below a line through points.
    pub fn area(&self, points: &[(f64, f64)]) -> String {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
        let ends = [(last.0, 0.0), (first.0, 0.0)];
        format!("<polygon class=\"area\" points=\"{} {}\"/>\n", self.points(points), self.points(&ends))
    }

    fn points(&self, points: &[(f64, f64)]) -> String {
        let point = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", self.x(*x), self.y(*y));
        points.iter().map(point).collect::<Vec<_>>().join(" ")
    }

    /// A point with its name to the left above it, where a curve that rises leaves room.
    pub fn dot(&self, (x, y): (f64, f64), name: &str) -> String {
        let (x, y) = (self.x(x), self.y(y));
        format!(
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
             <text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
            (x - 4.0).max(LEFT + NAME_WIDTH),
            y - 10.0
        )
    }

    /// A dashed line at a value.
    pub fn mark(&self, value: f64) -> String {
        format!("<path class=\"mark\" d=\"M{LEFT} {:.1}H{RIGHT}\"/>\n", self.y(value))
    }

    /// A remark above the panel's right end.
    pub fn note(&self, text: &str) -> String {
        format!(
            "<text class=\"muted\" text-anchor=\"end\" x=\"{RIGHT}\" y=\"{}\">{text}</text>\n",
            self.top - 14.0
        )
    }
}

/// The distance of an axis's lines, of which there are three to seven: 1, 2 or 5 times a power of ten.
pub fn nice_step(most: f64) -> f64 {
    let rough = most.max(1e-3) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.8).unwrap_or(10.0);
    factor * power
}

fn label(value: f64) -> String {
    HumanFloatCount((value * 1_000.0).round() / 1_000.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::nice_step;

    #[test]
    fn an_axis_has_three_to_seven_lines() {
        let mut most = 0.02;
        while most < 1e6 {
            let lines = (most / nice_step(most)).ceil();
            assert!((3.0..=7.0).contains(&lines), "{most}: {lines}");
            most *= 1.07;
        }
    }
}
