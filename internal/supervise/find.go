//go:build linux

package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// find is the program that a container's command means: a path, or a name in the PATH of the program's environment.
func find(name string, environment []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	folders := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" // as container engines have it where PATH is not set
	for _, variable := range environment {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			folders = value
		}
	}
	for _, folder := range filepath.SplitList(folders) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s", name, folders)
}
