"""The simulated world: streets, cars, people, camera path and renderer."""
