package events

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxLine is far above any event (a repository's name has at most 255 characters) and bounds what a broken
// server can make us hold.
const maxLine = 64 * 1024

// decode reads server-sent events until the stream ends and calls emit for each that carries an Event. It
// calls alive for every line, comments too. It returns nil at the end of the stream.
func decode(stream io.Reader, alive func(), emit func(Event)) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var data []string
	for lines.Scan() {
		alive()
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line != "" {
			field, value, _ := strings.Cut(line, ":")
			if field == "data" {
				data = append(data, strings.TrimPrefix(value, " "))
			}
			continue
		}
		if len(data) == 0 {
			continue
		}
		var event Event
		if err := json.Unmarshal([]byte(strings.Join(data, "\n")), &event); err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		data = data[:0]
		emit(event)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the stream: %w", err)
	}
	return nil
}
