package pull

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
)

// ownAddress is the near end of a connection in the text of a network error, as net.OpError writes it.
var ownAddress = regexp.MustCompile(`[0-9a-fA-F.:\[\]%]+:\d+->`)

// Text is an error's text without what differs between two attempts with the same outcome: the port at our end of a
// connection. Conditions are written whenever their message changes, and each such write is a reason to look again.
func Text(err error) string { return ownAddress.ReplaceAllString(err.Error(), "") }

// Cause is the innermost part of a network error that means something to a person, and the same every time.
func Cause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "there is no host " + dns.Name
		}
		return fmt.Sprintf("looking up %s failed", dns.Name)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it did not answer in time"
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Err.Error()
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknown.Error()
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation.Err.Error()
	}
	return Text(err)
}
