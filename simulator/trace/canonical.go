package trace

// canonicalMagic begins every file of the project's own format.
const canonicalMagic = "# wholescale trace v1"
