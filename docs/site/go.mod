// The documentation as a site. A module apart, so that what renders it is no dependency of ours.
module github.com/wholescale/wholescale/docs/site

go 1.26.8

require (
	github.com/yuin/goldmark v1.8.7
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect
