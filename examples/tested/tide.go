package main

import "time"

// period lies between two high tides, more or less.
const period = 12*time.Hour + 25*time.Minute

// someHigh is a high tide from which the others are counted.
var someHigh = time.Date(2026, time.January, 1, 4, 30, 0, 0, time.UTC)

// untilHigh is how long it takes from now to the next high tide.
func untilHigh(now time.Time) time.Duration {
	since := now.Sub(someHigh) % period
	if since < 0 {
		since += period
	}
	return period - since
}
