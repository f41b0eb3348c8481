package realize

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// What the schema of conditions allows, in bytes.
const (
	maxReason  = 1024
	maxMessage = 32768
)

var illegalInReason = regexp.MustCompile(`[^A-Za-z0-9_,:]`)

// Conditions returns conditions, in their order, with Ready after them, which sums them up: False, with the last
// False one's reason and message; else Unknown, with the first Unknown one's; else True. Without any it is Unknown.
// A condition that is as it was in previous keeps its time of transition; the others get now. Reasons and messages
// are made to fit what the API server accepts.
func Conditions(conditions, previous []metav1.Condition, now metav1.Time) []metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	if len(conditions) == 0 {
		ready.Status, ready.Reason = metav1.ConditionUnknown, v1alpha1.ReasonUnknown
	}
	for _, c := range conditions {
		overrides := c.Status == metav1.ConditionFalse || (c.Status != metav1.ConditionTrue && ready.Status == metav1.ConditionTrue)
		if overrides {
			ready.Status, ready.Reason, ready.Message = c.Status, c.Reason, c.Message
		}
	}
	all := append(slices.Clone(conditions), ready)
	for i := range all {
		all[i] = fitting(all[i])
		all[i].LastTransitionTime = now
		for _, before := range previous {
			if before.Type == all[i].Type && before.Status == all[i].Status && before.Reason == all[i].Reason && before.Message == all[i].Message {
				all[i].LastTransitionTime = before.LastTransitionTime
				break
			}
		}
	}
	return all
}

func fitting(c metav1.Condition) metav1.Condition {
	c.Reason = illegalInReason.ReplaceAllString(c.Reason, "_")
	c.Reason = strings.TrimLeft(c.Reason, "0123456789_,:")
	if len(c.Reason) > maxReason {
		c.Reason = c.Reason[:maxReason]
	}
	c.Reason = strings.TrimRight(c.Reason, "_,:")
	if c.Reason == "" {
		c.Reason = v1alpha1.ReasonUnknown
	}
	c.Message = truncate(strings.ToValidUTF8(c.Message, "\uFFFD"), maxMessage)
	return c
}

// truncate cuts text to at most limit bytes, and never through a character.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// Condition returns the condition of a type, or nil.
func Condition(conditions []metav1.Condition, kind string) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == kind {
			return &conditions[i]
		}
	}
	return nil
}
