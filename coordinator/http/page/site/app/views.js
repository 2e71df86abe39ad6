/** The views of the page: a row is all that another one needs. @module */

import { ClusterView } from "../cluster/cluster_view.js";
import { DrawView } from "../draw/draw_view.js";
import { GalleryView } from "../gallery/gallery_view.js";

export const VIEWS = [
  { name: "draw", title: "Draw", View: DrawView },
  { name: "gallery", title: "Gallery", View: GalleryView },
  { name: "cluster", title: "Cluster", View: ClusterView },
];
