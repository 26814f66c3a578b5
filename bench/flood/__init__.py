"""IKE_SA_INIT requests from addresses that nobody has, and what a gateway does meanwhile."""
