//! Tables as text (RFC 4180): CRLF, quotes where they are needed, and nothing that a spreadsheet would
//! take for a formula.

/// Writes one row.
pub fn write_row<'a>(out: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_cell(out, cell);
    }
    out.push_str("\r\n");
}

fn write_cell(out: &mut String, cell: &str) {
    // a spreadsheet runs what begins so, also behind a tab or a line end
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let needs_quotes = cell.contains([',', '"', '\r', '\n']);
    if needs_quotes {
        out.push('"');
    }
    if is_formula {
        out.push('\'');
    }
    match needs_quotes {
        true => {
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        }
        false => out.push_str(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        let mut out = String::new();
        write_row(
            &mut out,
            ["a", "b,c", "say \"hi\"", "", "=1+1", "-2", "@x", "a=b"],
        );
        assert_eq!(out, "a,\"b,c\",\"say \"\"hi\"\"\",,'=1+1,'-2,'@x,a=b\r\n");
        let mut out = String::new();
        write_row(&mut out, ["=HYPERLINK(\"http://x\",\"y\")"]);
        assert_eq!(out, "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\r\n");
    }
}
