package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// leftovers are the folders that the stages work in for a moment: see os.MkdirTemp in the source and release stages and in
// internal/git/client.
var leftovers = []string{"slipway-source-*", "slipway-commit-*", "slipway-release-*"}

// removeLeftovers removes from dir what a controller that was killed has left there. The scratch folder of a pod outlives
// its container, so without this it fills up. Nothing else may work in dir: in a pod, one controller has it to itself.
func removeLeftovers(dir string) error {
	var errs []error
	for _, pattern := range leftovers {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		errs = append(errs, err)
		for _, path := range found {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing what an earlier controller has left: %w", err)
	}
	return nil
}
