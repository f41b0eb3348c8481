package ui

import (
	"io"
	"strings"
)

// Table writes rows whose columns stand below each other. The last column takes what is left of the terminal's
// width and is broken between words, so nothing is cut off; elsewhere than on a terminal a row is one line.
type Table struct {
	streams *Streams
	indent  string
	rows    [][]Cell
}

// Cell is one field of a row.
type Cell struct {
	Text   string
	Tone   Tone
	Indent int // columns before the text, in a cell that is not the row's last
	// Lead stands before the text as it is, spaces included: the lines of a tree. A cell with one that is alone in its row is
	// a remark on the row above: it has the whole width, and each of its lines begins with the lead.
	Lead string
}

// line is the cell's text on one line, indented.
func (c Cell) line() string { return strings.Repeat(" ", c.Indent) + c.Lead + oneLine(c.Text) }

// Tone is the colour that repeats what a cell says; it never says it alone.
type Tone int

// The tones.
const (
	Neutral Tone = iota
	Good
	Bad
	Quiet
	Strong
)

var tones = map[Tone]string{Good: colorGreen, Bad: colorRed, Quiet: colorDim, Strong: colorBold}

// Text returns plain cells.
func Text(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	return cells
}

// NewTable returns an empty table for Streams.Out whose rows begin with indent.
func NewTable(streams *Streams, indent string) *Table {
	return &Table{streams: streams, indent: indent}
}

// Row adds a row.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// minLastColumn is the narrowest that the last column gets; on a terminal that has not even that, lines wrap.
const minLastColumn = 20

// Print writes the rows and forgets them.
func (t *Table) Print() error {
	widths := t.widths()
	var out strings.Builder
	for _, row := range t.rows {
		t.printRow(&out, row, widths)
	}
	t.rows = nil
	_, err := io.WriteString(t.streams.Out, out.String())
	return err
}

func (t *Table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 { // a row's last cell may be as long as it likes
				widths[i] = max(widths[i], columnsOf(cell.line()))
			}
		}
	}
	return widths
}

const gap = "  "

func (t *Table) printRow(out *strings.Builder, row []Cell, widths []int) {
	if len(row) == 0 {
		out.WriteString("\n")
		return
	}
	if row[0].Lead != "" && len(row) == 1 {
		t.printRemark(out, row[0])
		return
	}
	color := t.streams.ColorOut()
	last := len(row) - 1
	line, used := t.indent, columnsOf(t.indent)
	for i, cell := range row[:last] {
		text := cell.line()
		line += paint(color, tones[cell.Tone], text) + strings.Repeat(" ", widths[i]-columnsOf(text)) + gap
		used += widths[i] + len(gap)
	}
	lines := []string{oneLine(row[last].Text)}
	if t.streams.OutIsTerminal {
		lines = wrap(lines[0], max(t.streams.Width()-used, minLastColumn))
	}
	for _, part := range lines {
		out.WriteString(strings.TrimRight(line+paint(color, tones[row[last].Tone], part), " ") + "\n")
		line = strings.Repeat(" ", used)
	}
}

func (t *Table) printRemark(out *strings.Builder, cell Cell) {
	lead, lines := t.indent+cell.Lead, []string{oneLine(cell.Text)}
	if t.streams.OutIsTerminal {
		lines = wrap(lines[0], max(t.streams.Width()-columnsOf(lead), minLastColumn))
	}
	for _, line := range lines {
		out.WriteString(lead + paint(t.streams.ColorOut(), tones[cell.Tone], line) + "\n")
	}
}
