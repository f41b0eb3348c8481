package release_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testRollback: the revision that was last ready is released again, and waited for like any other.
func testRollback(c *cluster) {
	c.manage()
	one := map[string]string{"a.yml": deployment("web", "one")}
	c.release("app", "1", one, "")
	c.ready("web", metav1.ConditionTrue, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'")
	c.release("app", "2", map[string]string{"a.yml": deployment("web", "two")}, "")
	c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment rollback/web")
	c.ready("web", metav1.ConditionFalse, "ProgressDeadlineExceeded")
	failed := c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonNotReady, "web has failed")
	if failed.Status.Revision != "1" || failed.Status.ReleasedAt != nil {
		c.Errorf("status %+v", failed.Status)
	}

	c.release("app", "1", one, "")
	c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment rollback/web: its controller has not seen it yet")
	c.ready("web", metav1.ConditionTrue, "")
	if found := c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'"); found.Status.ReleasedAt == nil || found.Status.Attempted != "1" {
		c.Errorf("status %+v", found.Status)
	}
	// What was ready, and is not any more, is so at once.
	c.ready("web", metav1.ConditionFalse, "")
	c.ask("app")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonNotReady, "Deployment rollback/web is no longer ready: 0 of 1 pods are ready")
}
