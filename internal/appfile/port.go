package appfile

import (
	"fmt"
	"strconv"
	"strings"
)

// Port is a port to forward.
type Port struct {
	Local     int // on this machine; 0 means the same number, or a free one when it is taken
	Container int
}

// UnmarshalText reads CONTAINER or LOCAL:CONTAINER.
func (p *Port) UnmarshalText(text []byte) error {
	local, container, both := strings.Cut(string(text), ":")
	if !both {
		local, container = "", local
	}
	*p = Port{}
	var err error
	if both {
		if p.Local, err = portNumber(local); err != nil {
			return err
		}
	}
	p.Container, err = portNumber(container)
	return err
}

// String is how the file says it.
func (p Port) String() string {
	if p.Local == 0 {
		return strconv.Itoa(p.Container)
	}
	return fmt.Sprintf("%d:%d", p.Local, p.Container)
}

func portNumber(text string) (int, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 || strings.HasPrefix(text, "0") {
		return 0, fmt.Errorf("want a port from 1 to 65535, or LOCAL:CONTAINER, not %q", text)
	}
	return int(number), nil
}
