// Command upstream prints the certificate authorities that Mozilla trusts, as PEM, out of the pinned module
// golang.org/x/crypto/x509roots/fallback/bundle. scripts/upstream.sh calls it; slipway embeds the result.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "writing the certificate authorities:", err)
		os.Exit(1)
	}
}

// write prints one PEM block a root, its subject as a comment. A root that is trusted only for certificates issued
// before some date is left out: PEM cannot say that, and what was issued before has run out.
func write(out io.Writer) error {
	buffered := bufio.NewWriter(out)
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return err
		}
		fmt.Fprintf(buffered, "# %s\n", certificate.Subject)
		if err := pem.Encode(buffered, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return err
		}
	}
	return buffered.Flush()
}
