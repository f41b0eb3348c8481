package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// savedWorkload is for `dev`, with the same stages.
const savedWorkload = `{"apiVersion":"carto.run/v1alpha1","kind":"Workload","metadata":{"name":"saved","labels":{"apps.tanzu.vmware.com/workload-type":"web","apps.tanzu.vmware.com/has-tests":"true"}}}`

// savedApp is the workload that `dev` keeps.
const savedApp = "saved"

// measureSaves has `dev` take saves through the same chain.
func (c *chain) measureSaves(ctx context.Context) (*overhead, error) {
	dir := filepath.Join(c.work, savedApp)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(c.root, "examples", "hello"))); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "workload.yaml"), []byte(savedWorkload), 0o600); err != nil {
		return nil, err
	}
	dev, err := c.startBackground(ctx, "dev", dir, "--name", environmentName, "--progress", "plain")
	if err != nil {
		return nil, err
	}
	defer dev.stop()
	if err := dev.watches(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w\ndev said:\n%s", err, dev.said())
	}
	version, runs := "", 1
	saves := delivery{
		app: savedApp,
		prepare: func(next string) error {
			version = next
			err := dev.watches(ctx, runs) // the run before has ended
			runs++
			return err
		},
		begin: func(context.Context) error { return c.edit(dir, version) },
	}
	found, err := c.measure(ctx, saves)
	if err != nil {
		return nil, fmt.Errorf("%w\ndev said:\n%s", err, dev.said())
	}
	return found, nil
}
