//! The plots of the HTML report, as SVG that needs nothing else. Pure: points and bars in, text out.

use std::fmt::Write as _;

use html_escape::encode_text;

/// The scatter plot's size and margins, in its own units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;

/// The bars' size.
const BARS_WIDTH: f64 = 400.0;
const BARS_HEIGHT: f64 = 150.0;

/// The most bars that say which query they are: a file is to be opened with ease.
const TITLED_BARS: usize = 500;

/// The ratio of the longest time to the shortest from which the axis is logarithmic.
const LOGARITHMIC_FROM: f64 = 12.0;

/// The most ticks of an axis.
const TICKS: usize = 20;

/// A point of the scatter plot.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// What stands in it.
    pub(super) mark: String,
    /// What it is called.
    pub(super) name: String,
    /// Its colour.
    pub(super) colour: &'static str,
    /// The time, in milliseconds, and the end of its whisker.
    pub(super) time: (f64, f64),
    /// The measure, and the ends of its whisker.
    pub(super) measure: (f64, f64, f64),
}

/// An axis: which values it shows, and how.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// The axis of times: from nothing, or logarithmic where they differ much.
    fn of_times(points: &[Point]) -> Self {
        let low = points.iter().map(|point| point.time.0).fold(f64::INFINITY, f64::min).max(0.1);
        let high = points.iter().map(|point| point.time.1).fold(low, f64::max);
        match high / low > LOGARITHMIC_FROM {
            true => Self { low: low / 1.6, high: high * 1.15, is_logarithmic: true },
            false => Self { low: 0.0, high: high * 1.06, is_logarithmic: false },
        }
    }

    /// The axis of a measure: what the points and their whiskers take, with room around.
    fn of_measure(points: &[Point]) -> Self {
        let low = points.iter().map(|point| point.measure.1).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|point| point.measure.2).fold(f64::NEG_INFINITY, f64::max);
        let room = ((high - low) * 0.12).max(0.01);
        Self { low: (low - room).max(0.0), high: (high + room).min(1.0), is_logarithmic: false }
    }

    /// The place of a value, 0 to 1.
    fn place(self, value: f64) -> f64 {
        let scaled = |value: f64| if self.is_logarithmic { value.max(self.low).ln() } else { value };
        ((scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low))).clamp(0.0, 1.0)
    }

    /// Round values on it, about five.
    fn ticks(self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(decade)));
            return ticks.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough).max(f64::MIN_POSITIVE);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step + 1e-9).floor() as i64);
        (first..=last).take(TICKS).map(|count| count as f64 * step).collect()
    }
}

/// The measure of each order against the time of a search. The first point is the cluster's own, whose level is drawn through.
pub(super) fn scatter(points: &[Point], measure: &str) -> String {
    let (times, measures) = (Axis::of_times(points), Axis::of_measure(points));
    let x = |time: f64| LEFT + times.place(time) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - measures.place(value) * (HEIGHT - TOP - BOTTOM);
    let (floor, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{measure} against time\">");
    for tick in measures.ticks() {
        let at = y(tick);
        let _ = write!(svg, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.2}</text>", LEFT - 8.0, at + 4.0);
    }
    for tick in times.ticks() {
        let at = x(tick);
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{floor}\" y2=\"{:.1}\"/>",
            floor + 5.0
        );
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick} ms</text>", floor + 19.0);
    }
    let axis = if times.is_logarithmic {
        "time of a search: median, whisker to the 95th percentile (logarithmic)"
    } else {
        "time of a search: median, whisker to the 95th percentile"
    };
    let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{axis}</text>", end, HEIGHT - 8.0);
    let _ = write!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">{measure}</text>", HEIGHT - 8.0);
    if let Some(own) = points.first() {
        let at = y(own.measure.0);
        let _ = write!(svg, "<line class=\"own\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
    }
    for point in points {
        let (across, up) = (x(point.time.0), y(point.measure.0));
        let (slow, low, high) = (x(point.time.1), y(point.measure.1), y(point.measure.2));
        let colour = point.colour;
        let _ = write!(
            svg,
            "<g><title>{}: {:.3}, {:.1} ms</title><path d=\"M{across:.1} {low:.1}V{high:.1}M{across:.1} {up:.1}H{slow:.1}\" \
             stroke=\"{colour}\" stroke-width=\"2\" opacity=\".55\"/><circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"10.5\" fill=\"{colour}\"/>\
             <text class=\"mark\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
            encode_text(&point.name),
            point.measure.0,
            point.time.0,
            up + 4.2,
            encode_text(&point.mark)
        );
    }
    svg + "</svg>"
}

/// A bar for the gain of each query, the largest first; each with its query's text.
pub(super) fn bars(gains: &[(&str, f64)]) -> String {
    let most = gains.iter().map(|(_, gain)| gain.abs()).fold(0.05, f64::max);
    let (left, width) = (34.0, BARS_WIDTH - 34.0);
    let (middle, half) = (BARS_HEIGHT / 2.0, BARS_HEIGHT / 2.0 - 8.0);
    let y = |value: f64| middle - value / most * half;
    let step = width / gains.len().max(1) as f64;
    // Bars that can be told apart have a gap between them.
    let thick = if step > 3.0 { step - 1.0 } else { step };
    let mut svg =
        format!("<svg viewBox=\"0 0 {BARS_WIDTH} {BARS_HEIGHT}\" role=\"img\" aria-label=\"gain of each query\">");
    for level in [most, 0.0, -most] {
        let at = y(level);
        let _ = write!(svg, "<line class=\"axis\" x1=\"{left}\" x2=\"{BARS_WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let label = if level == 0.0 { "0".to_owned() } else { format!("{level:+.1}").replace('-', "−") };
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", left - 6.0, at + 4.0);
    }
    for (number, (query, gain)) in gains.iter().enumerate().filter(|(_, (_, gain))| gain.abs() > 1e-9) {
        let (class, top) = if *gain > 0.0 { ("good", y(*gain)) } else { ("bad", middle) };
        let (at, tall) = (left + number as f64 * step, gain.abs() / most * half);
        let title = match gains.len() <= TITLED_BARS {
            true => format!("<title>{}: {gain:+.3}</title>", encode_text(query)),
            false => String::new(),
        };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" stroke=\"none\" x=\"{at:.2}\" y=\"{top:.2}\" width=\"{thick:.2}\" height=\"{tall:.2}\">{title}</rect>"
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(time: f64, measure: f64) -> Point {
        Point {
            mark: "1".to_owned(),
            name: "<a & b>".to_owned(),
            colour: "#000000",
            time: (time, time * 2.0),
            measure: (measure, measure - 0.1, measure + 0.1),
        }
    }

    #[test]
    fn names_are_escaped_and_points_lie_within_the_plot() {
        let svg = scatter(&[point(5.0, 0.3), point(400.0, 0.9)], "nDCG@10");
        assert!(svg.contains("&lt;a &amp; b&gt;: 0.300, 5.0 ms") && !svg.contains("<a &"), "{svg}");
        for circle in svg.split("cx=\"").skip(1) {
            let at: f64 = circle.split('"').next().and_then(|text| text.parse().ok()).expect("a number");
            assert!((LEFT..=WIDTH - RIGHT).contains(&at));
        }
        assert!(
            svg.contains("logarithmic")
                && !scatter(&[point(5.0, 0.3), point(20.0, 0.9)], "AP@10").contains("logarithmic")
        );
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis { low: 0.23, high: 0.61, is_logarithmic: false };
        assert_eq!(
            axis.ticks().iter().map(|tick| format!("{tick:.1}")).collect::<Vec<_>>(),
            ["0.3", "0.4", "0.5", "0.6"]
        );
        let axis = Axis { low: 3.0, high: 60.0, is_logarithmic: true };
        assert_eq!(axis.ticks(), [5.0, 10.0, 20.0, 50.0]);
        let nothing = Axis { low: 0.0, high: 0.0, is_logarithmic: false };
        assert!(nothing.ticks().len() < 10);
    }

    #[test]
    fn a_bar_stands_for_each_query_that_changed() {
        let svg = bars(&[("up", 0.5), ("same", 0.0), ("<down>", -0.25)]);
        assert_eq!((svg.matches("<rect").count(), svg.matches("class=\"bad\"").count()), (2, 1));
        assert!(svg.contains("&lt;down&gt;: -0.250"), "{svg}");
        assert!(bars(&[]).ends_with("</svg>"));
    }
}
