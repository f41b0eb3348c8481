package draft

import "text/template"

var appText = template.Must(template.New("slipway.yaml").Parse(`# How slipway builds and runs this app: see docs/slipway-yaml.md, or ` + "`slipway init --schema`" + ` for editors.
apiVersion: slipway.dev/v1alpha1
kind: App
build:
  # {{.Comment}}
{{- if eq .Kind "go"}}
  go:{{if .Main}}
    main: {{.Main}}{{range .Others}}
    # or {{.}}{{end}}{{else}} {}{{end}}
sync: # with ` + "`slipway dev --sync`" + `, the program goes straight into the running container
  - binary: true
{{- else if eq .Kind "dockerfile"}}
  dockerfile: {}
{{- if .Syntax}}
  # The Dockerfile's "# syntax=" line makes the engine fetch that frontend: without a network, take the line out.
{{- end}}
{{- else if eq .Kind "static"}}
  static:
    folder: {{.Folder}}
    # spa: true answers paths that are no file with index.html
{{- if ne .Folder "."}}
sync: # with ` + "`slipway dev --sync`" + `, saved files go straight into the running container
  - from: "{{.Folder}}/**"
    to: /www
    restart: false
{{- end}}
{{- else if eq .Kind "command"}}
  command:
    # sees SLIPWAY_PLATFORM, and leaves a folder, an image's tarball or an OCI layout in SLIPWAY_OUTPUT
    run: [./build.sh]
    image: # what to make of a folder
      entrypoint: [/app/server]
{{- end}}
`))

var workloadText = template.Must(template.New("workload.yaml").Parse(`apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: {{.Name}}
  labels:
    # chooses the supply chain: see ` + "`kubectl get clustersupplychains`" + `
    apps.tanzu.vmware.com/workload-type: web
spec:
{{- if and .Expected (ne .Port "8080")}}
  params:
    - name: port # on which the app listens
      value: {{.Port}}
{{- else if eq .Kind "go" "command"}}
  env:
    - name: PORT # the chain expects the app there
      value: "8080"
{{- else}} {}
{{- end}}
`))
