package release_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testConversion: who converts the objects of a kind is installed and repaired by a revision that has such objects, too.
func testConversion(c *cluster) {
	up := &atomic.Bool{}
	kind := c.converted(up)
	deployed := func(image string) {
		c.Helper()
		c.until(func() (bool, string) {
			found := &appsv1.Deployment{}
			err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "server"}, found)
			return err == nil && found.Spec.Template.Spec.Containers[0].Image == image, c.told("app")
		})
		c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment conversion/server")
	}
	object := func(value string) string {
		return "{apiVersion: example.com/v2, kind: Turn, metadata: {name: a}, spec: {a: " + value + "}}"
	}
	c.manage()
	c.release("app", "1", documents(object("one"), deployment("server", "one"), kind), "")
	deployed("one")
	up.Store(true)
	c.ready("server", metav1.ConditionTrue, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'1'")

	up.Store(false)
	c.release("app", "2", documents(object("two"), deployment("server", "two"), kind), "")
	deployed("two")
	up.Store(true)
	c.ready("server", metav1.ConditionTrue, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
	found := &unstructured.Unstructured{}
	found.SetAPIVersion("example.com/v2")
	found.SetKind("Turn")
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "a"}, found); err != nil {
		c.Fatal(err)
	}
	if value, _, _ := unstructured.NestedString(found.Object, "spec", "a"); value != "two" {
		c.Errorf("the object has %q", value)
	}
}

// converted is the definition of a kind with a version that is stored and another, between which a webhook converts, while
// it is up.
func (c *cluster) converted(up *atomic.Bool) string {
	c.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := apiextensionsv1.ConversionReview{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || !up.Load() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		review.Response = &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
		for _, raw := range review.Request.Objects {
			object := &unstructured.Unstructured{}
			if err := json.Unmarshal(raw.Raw, object); err != nil {
				c.Error(err)
			}
			object.SetAPIVersion(review.Request.DesiredAPIVersion)
			review.Response.ConvertedObjects = append(review.Response.ConvertedObjects, runtime.RawExtension{Object: object})
		}
		review.Request = nil
		if err := json.NewEncoder(w).Encode(review); err != nil {
			c.Error(err)
		}
	}))
	c.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	first := strings.TrimSuffix(strings.TrimSpace(definition("turns", "Turn", "a: {type: string}")), "]}}")
	second := strings.NewReplacer("name: v1", "name: v2", "storage: true", "storage: false").Replace(first[strings.Index(first, "{name: v1,"):])
	return fmt.Sprintf("%s, %s], conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: '%s', caBundle: %s}}}}}\n",
		first, second, server.URL, base64.StdEncoding.EncodeToString(certificate))
}
