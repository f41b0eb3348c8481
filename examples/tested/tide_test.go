package main

import (
	"net/http/httptest"
	"testing"
	"time"
)

func TestUntilHigh(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0:               period,
		time.Hour:       period - time.Hour,
		period:          period,
		-time.Hour:      time.Hour,
		10*period + 1:   period - 1,
		-10*period - 60: 60,
	} {
		if got := untilHigh(someHigh.Add(after)); got != want {
			t.Errorf("%v after a high tide the next one is in %v, want %v", after, got, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	answer := httptest.NewRecorder()
	handler(func() time.Time { return someHigh.Add(25 * time.Minute) }).ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "High tide in 12h0m0s.\n"; got != want {
		t.Errorf("it answers %q, want %q", got, want)
	}
}
