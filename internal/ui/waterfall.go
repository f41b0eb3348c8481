package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// How much of an app is shown when the terminal is short of lines.
const (
	leastDetail = iota // the head alone
	someDetail         // and what is under way or failed
	fullDetail         // and everything
)

// app are the lines of an app: a head, the waterfall of its run, what went wrong, its addresses.
func (c *screen) app(s *session, v *view, columns, detail, room int) []string {
	lines := []string{c.head(v, columns)}
	running, failed := v.ended.IsZero() && v.number > 0, v.outcome == "failed"
	if detail == leastDetail {
		return lines
	}
	whole := detail == fullDetail && (running || failed || len(s.views) == 1)
	if !whole && !running && !failed {
		return append(lines, c.where(v, columns, 1)...)
	}
	for _, p := range v.parts {
		if whole || p.end.IsZero() || p.outcome == "fail" {
			lines = append(lines, c.bar(v, p, columns))
		}
	}
	if failed {
		lines = append(lines, c.wrong(v.problem, columns, max(room/2, 3))...)
	}
	if whole {
		lines = append(lines, c.where(v, columns, len(v.addresses))...)
	}
	return lines
}

// head is the app's name, the run with its cause, and how it stands.
func (c *screen) head(v *view, columns int) string {
	if v.number == 0 {
		return paint(c.color, colorBold, truncate(v.name, columns))
	}
	sign, right := c.spinner(), brief(elapsedOf(v).Truncate(time.Second/10))
	switch v.outcome {
	case "passed":
		sign, right = mark(c.color, "done"), "ready in "+brief(elapsedOf(v))
	case "failed":
		sign, right = mark(c.color, "fail"), "failed after "+brief(elapsedOf(v))
	case "superseded":
		sign = mark(c.color, "skip")
	}
	name := truncate(v.name, columns/3)
	middle := fmt.Sprintf("run %d", v.number)
	if v.cause != "" {
		middle += "  " + v.cause
	}
	room := columns - 2 - columnsOf(name) - 2 - 2 - columnsOf(right)
	middle = truncate(middle, room)
	return sign + " " + paint(c.color, colorBold, name) + "  " + pad(middle, room) + "  " + right
}

// The widths of a bar's columns: the stage's name gets what the longest one needs, within limits; the bar itself gets a
// share of what is left.
const (
	leastName      = 8
	mostName       = 18 // on a narrow terminal; wider ones give more
	secondsColumns = 6
)

// nameColumns is the width of the names of a run's stages.
func nameColumns(v *view, columns int) int {
	most := leastName
	for _, p := range v.parts {
		most = max(most, columnsOf(p.id))
	}
	return min(most, max(mostName, columns*3/10))
}

// bar is a stage of the waterfall: when it began and how long it took within the run, and what came of it.
func (c *screen) bar(v *view, p *part, columns int) string {
	sign := c.spinner()
	if p.outcome != "" {
		sign = mark(c.color, p.outcome)
	}
	names := nameColumns(v, columns)
	width := max((columns-2-2-names-secondsColumns-4)*2/5, 8)
	line := "  " + sign + " " + pad(truncate(p.id, names), names) + " "
	line += c.blocks(v, p, width) + " "
	line += paint(c.color, colorDim, fmt.Sprintf("%*s", secondsColumns, brief(p.elapsed().Truncate(time.Second/10))))
	room := columns - 4 - names - 1 - width - 1 - secondsColumns - 2
	detail := oneLine(p.detail)
	if detail == "" && p.title != p.id {
		detail = p.title
	}
	detail = truncate(detail, room)
	if p.outcome == "fail" {
		detail = paint(c.color, colorRed, detail)
	}
	if detail == "" {
		return line
	}
	return line + "  " + detail
}

// eighths are the left parts of a column.
var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

// leastSpan is the time that the whole width stands for at least, so that a short run's bars do not jump about.
const leastSpan = 2 * time.Second

// blocks draw a stage's time as a part of the run's.
func (c *screen) blocks(v *view, p *part, width int) string {
	span := max(elapsedOf(v), leastSpan)
	at := func(d time.Duration) int { return int(int64(d) * int64(width) * 8 / int64(span)) }
	begin := max(at(p.start.Sub(v.began)), 0)
	end := min(begin+max(at(p.elapsed()), 1), width*8)
	first := min(begin/8, width-1)
	full, rest := (end-first*8)/8, (end-first*8)%8
	drawn := strings.Repeat("█", full) + eighths[rest]
	color := colorGreen
	switch p.outcome {
	case "fail":
		color = colorRed
	case "skip":
		color = colorDim
	}
	return strings.Repeat(" ", first) + paint(c.color, color, drawn) + strings.Repeat(" ", max(width-first-columnsOf(drawn), 0))
}

// wrong is what went wrong, in as many lines as there is room for.
func (c *screen) wrong(text string, columns, most int) []string {
	if text == "" {
		return nil
	}
	var all, lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = expandTabs(line)
		if strings.HasPrefix(line, " ") { // of a log: its columns mean something
			all = append(all, line)
			continue
		}
		all = append(all, wrap(line, columns-4)...)
	}
	for i, line := range all {
		if len(lines) == most-1 && i < len(all)-1 {
			return append(lines, "    "+paint(c.color, colorDim, fmt.Sprintf("… %d more lines", len(all)-i)))
		}
		lines = append(lines, "    "+truncate(line, columns-4))
	}
	return lines
}

// where are the addresses, at most so many.
func (c *screen) where(v *view, columns, most int) []string {
	if v.outcome == "failed" {
		return nil
	}
	var lines []string
	for _, address := range v.addresses[:min(most, len(v.addresses))] {
		note := ""
		if room := columns - 4 - columnsOf(address.URL) - 2; address.Note != "" && room > 8 {
			note = "  " + paint(c.color, colorDim, truncate(address.Note, room))
		}
		lines = append(lines, "    "+truncate(address.URL, columns-4)+note)
	}
	return lines
}

// summary is a run that is over in one line.
func (c *screen) summary(s *session, v *view, columns int) string {
	sign, text := mark(c.color, "done"), "ready in "+brief(elapsedOf(v))
	if v.outcome == "failed" {
		sign, text = mark(c.color, "fail"), "failed: "+reason(v)
	}
	line := fmt.Sprintf("run %d", v.number)
	if len(s.views) > 1 {
		line = v.name + " " + line
	}
	if v.cause != "" {
		line += "  " + truncate(v.cause, columns/3)
	}
	line += "  " + text
	if v.outcome == "passed" {
		line += longest(v)
	}
	return sign + " " + truncate(oneLine(line), columns-2)
}

// reason is why a run failed, in one line: the stage and what it says, else the beginning of the whole.
func reason(v *view) string {
	for _, p := range v.parts {
		if p.outcome == "fail" {
			return p.id + ": " + p.detail
		}
	}
	first, _, _ := strings.Cut(v.problem, "\n")
	return first
}

// longest names the stages that took most of a run's time.
func longest(v *view) string {
	const named = 3
	parts := slices.DeleteFunc(slices.Clone(v.parts), func(p *part) bool { return p.outcome != "done" || p.elapsed() < time.Second/20 })
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(b.elapsed(), a.elapsed()) })
	var texts []string
	for _, p := range parts[:min(named, len(parts))] {
		texts = append(texts, p.id+" "+brief(p.elapsed()))
	}
	if len(texts) == 0 {
		return ""
	}
	return "  (" + strings.Join(texts, ", ") + ")"
}

// pad makes text so many columns wide.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-columnsOf(text), 0))
}
