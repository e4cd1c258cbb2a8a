"""The models of the agent: what each is (manifest) and the recipe that makes it (build)."""
