//! Prints an answer: as text with colors, or as JSON.

use towline_answers::Answer;
use towline_answers::text::{self, Line, Style as Meaning};
use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_console::style::{Style, paint};
use towline_ports::Clock as _;
use towline_ports::system::SystemClock;

pub fn print(output: Output, answer: &Answer) -> Outcome {
    if output.is_json() {
        return output.value(answer);
    }
    let lines = text::lines(answer, SystemClock.now());
    output.text(&lines.iter().map(painted).collect::<String>())
}

fn painted(line: &Line) -> String {
    let spans = line.spans.iter();
    let text: String = spans
        .map(|span| paint(style(span.style), &span.text))
        .collect();
    text + "\n"
}

fn style(meaning: Meaning) -> Style {
    match meaning {
        Meaning::Plain => Style::Plain,
        Meaning::Header => Style::Header,
        Meaning::Strong => Style::Strong,
        Meaning::Good => Style::Good,
        Meaning::Waiting => Style::Waiting,
        Meaning::Bad => Style::Bad,
        Meaning::Quiet => Style::Quiet,
    }
}
