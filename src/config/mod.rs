//! `branchline.yaml`: text in, resolved rules and settings out, or every problem at once.
