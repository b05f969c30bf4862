//! Solr.
