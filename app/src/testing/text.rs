//! The visible text of a page, as a reader sees it: a line a block, ` | ` between the cells of a row.

/// Elements that start a new line.
const BLOCKS: [&str; 26] = [
    "article", "aside", "details", "div", "dl", "dt", "fieldset", "figure", "footer", "form", "h1", "h2",
    "h3", "header", "label", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary",
    "tr",
];
/// Elements with spaces around them.
const INLINE: [&str; 8] = ["a", "b", "button", "output", "select", "span", "svg", "time"];
/// Elements without an end tag.
const VOID: [&str; 7] = ["br", "hr", "img", "input", "link", "meta", "wbr"];

/// The visible text of an HTML fragment.
///
/// Drawings are written as `[label]`, controls as `[text]`, tooltips that add to the text as `{tooltip}`. Text for screen
/// readers only (`vh`) and hidden inputs are left out.
pub(super) fn of_html(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        page.text(&rest[..start]);
        rest = &rest[start..];
        let end = if rest.starts_with("<!--") {
            rest.find("-->").map(|at| at + 3)
        } else {
            rest.find('>').map(|at| at + 1)
        };
        let Some(end) = end else { break };
        page.tag(&rest[1..end - 1]);
        rest = &rest[end..];
    }
    page.text(rest);
    page.finish()
}

#[derive(Default)]
struct Page {
    out: String,
    open: Vec<Element>,
}

/// An open element.
struct Element {
    name: String,
    /// Written after its content.
    end: &'static str,
    tooltip: Option<String>,
    hidden: bool,
}

impl Page {
    fn hidden(&self) -> bool {
        self.open.iter().any(|element| element.hidden)
    }

    fn write(&mut self, text: &str) {
        if !self.hidden() {
            self.out.push_str(text);
        }
    }

    fn text(&mut self, text: &str) {
        self.write(&decoded(text).replace('\n', " "));
    }

    fn tag(&mut self, tag: &str) {
        if let Some(name) = tag.strip_prefix('/') {
            self.close(name);
        } else if !tag.starts_with('!') {
            self.start(tag);
        }
    }

    fn start(&mut self, tag: &str) {
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        let has_class = |class: &str| {
            attribute(tag, "class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
        };
        self.separate(name);
        let is_control = name == "button" || (name == "a" && has_class("btn"));
        match name {
            "td" | "th" if !self.out.is_empty() && !self.out.ends_with('\n') => self.write(" | "),
            _ if is_control => self.write("["),
            _ => self.write(&prefix(name, tag)),
        }
        if !VOID.contains(&name) && !tag.ends_with('/') {
            self.open.push(Element {
                name: name.to_owned(),
                end: if is_control { "]" } else { "" },
                // The tooltip of a time is the exact time.
                tooltip: attribute(tag, "title").filter(|title| !title.ends_with("UTC")), // foreign text: HTML
                hidden: has_class("vh") || ["svg", "progress", "noscript", "script"].contains(&name),
            });
        }
    }

    fn close(&mut self, name: &str) {
        while let Some(element) = self.open.pop() {
            self.write(element.end);
            // A tooltip that repeats the text is left out.
            if let Some(tooltip) = element.tooltip.filter(|tooltip| !self.out.trim_end().ends_with(tooltip)) {
                self.write(&format!(" {{{tooltip}}}"));
            }
            // The description follows its term.
            if element.name != "dt" {
                self.separate(&element.name);
            }
            if element.name == name {
                break;
            }
        }
    }

    /// Puts a block on a line of its own, and spaces around inline elements and around blocks in a cell.
    fn separate(&mut self, name: &str) {
        let in_cell = self.open.iter().any(|element| element.name == "td" || element.name == "th");
        let is_block = BLOCKS.contains(&name);
        if self.out.is_empty() || self.out.ends_with(['\n', '[']) {
            return;
        }
        if is_block && !in_cell {
            self.write("\n");
        } else if is_block || INLINE.contains(&name) {
            self.write(" ");
        }
    }

    fn finish(self) -> String {
        let lines = self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// What is written before the content of an element.
fn prefix(name: &str, tag: &str) -> String {
    let value = |key: &str| attribute(tag, key).unwrap_or_default();
    match name {
        "h1" => "# ".to_owned(),
        "h2" => "## ".to_owned(),
        "h3" => "### ".to_owned(),
        "li" => "- ".to_owned(),
        "dd" => ": ".to_owned(),
        // foreign text: HTML
        "option" if tag.contains(" selected") => "* ".to_owned(),
        "svg" => attribute(tag, "aria-label").map(|label| format!("[{label}]")).unwrap_or_default(),
        "progress" if attribute(tag, "value").is_none() => "[progress]".to_owned(),
        "progress" => {
            let number = |key| value(key).parse::<f64>().unwrap_or_default();
            format!("[progress {:.0}%]", number("value") / number("max") * 100.0)
        }
        "input" => match value("type").as_str() {
            "hidden" => String::new(),
            // foreign text: HTML
            "checkbox" if tag.contains(" checked") => "[x] ".to_owned(),
            "checkbox" => "[ ] ".to_owned(),
            _ => format!(" [{}] ", value("value")),
        },
        _ => String::new(),
    }
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, key: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {key}=\""))?;
    Some(decoded(rest.split_once('"')?.0))
}

fn decoded(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::of_html;

    #[test]
    fn rows_and_controls_are_readable() {
        let html = r#"<table><tbody><tr><th title="orders">orders</th><td title="until 5 &gt; 3">up<!></td></tr></tbody></table>
            <p class="vh">hidden</p><label>Name <input name="n" value="a"></label><svg aria-label="2 of 3"><rect/></svg>
            <a class="btn small" href="/x">Open</a>"#;
        assert_eq!(of_html(html), "orders | up {until 5 > 3}\nName [a]\n[2 of 3] [Open]");
    }
}
